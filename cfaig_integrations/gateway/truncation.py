"""The warning about answers that ended at a token limit which nobody set, one for each model."""

from __future__ import annotations

import logging

from cfaig_integrations.core.chat import ChatRequest, FinishReason

_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
_log = logging.getLogger(__name__)
_models_warned_about: set[str] = set()


def sets_no_limit(request: ChatRequest) -> bool:
    """Whether a request leaves the number of tokens of its answer to the server."""
    return request.max_tokens is None and _LIMITS.isdisjoint(request.extra_body)


def warn_of_default_limit(model: str, finish: FinishReason) -> None:
    """Logs that an answer ended at the server's limit, once for each model.

    Many Workers AI models stop at 256 tokens by default (facts §9.4), and engines and chains show the text alone.
    """
    if finish == "length" and model not in _models_warned_about:
        _models_warned_about.add(model)
        _log.warning(
            "The answer of %r was truncated at the server's default token limit (finish_reason 'length'). "
            "Set max_tokens=.",
            model,
        )
