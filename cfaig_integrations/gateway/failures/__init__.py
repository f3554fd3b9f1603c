"""An error answer to an exception."""

from cfaig_integrations.gateway.failures.mapping import from_html, from_refused, from_response

__all__ = ["from_html", "from_refused", "from_response"]
