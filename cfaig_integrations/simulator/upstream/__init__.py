"""A real OpenAI- or Anthropic-compatible server, to which calls are forwarded instead of being answered here."""
