"""A real OpenAI- or Anthropic-compatible server, to which calls are forwarded instead of being answered here.

`client` sends requests, `translate` converts them where the server does not have their format, and `usage` reads
token counts from what passes through.
"""

from cfaig_integrations.simulator.upstream.client import Upstream, UpstreamError

__all__ = ["Upstream", "UpstreamError"]
