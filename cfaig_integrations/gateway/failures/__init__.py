"""Error responses to exceptions."""

from cfaig_integrations.gateway.failures.mapping import from_embedded, from_html, from_response

__all__ = ["from_embedded", "from_html", "from_response"]
