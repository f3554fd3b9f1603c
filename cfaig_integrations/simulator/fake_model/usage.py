"""Counts the tokens of a request and its answer, and those that a prompt cache would have."""

from __future__ import annotations

import hashlib
import json
import threading

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.types import Answer, ModelRequest

_MESSAGE_OVERHEAD = 4
_MOST_DIGESTS = 100_000
_BLOCK, _LEAST = 128, 1024
"""Tokens: OpenAI caches prompts from 1024 on, in steps of 128."""


def prompt(request: ModelRequest) -> list[str]:
    """The texts of a prompt, in the order of prompt caching: tools, schema, messages."""
    texts = [f"{t.name}{t.description}{json.dumps(t.parameters)}" for t in request.tools]
    texts.append(json.dumps(request.schema) if request.schema else "")
    for message in request.messages:
        texts += [
            message.text,
            *(json.dumps(c.arguments) + c.name for c in message.calls),
            *(r.text for r in message.results),
        ]
    return texts


def measure(request: ModelRequest, answer: Answer) -> None:
    """Set the token counts of an answer that a script has not set."""
    overhead = _MESSAGE_OVERHEAD * len(request.messages)
    answer.tokens_in = answer.tokens_in or sum(tokens.count(t) for t in prompt(request)) + overhead
    answer.tokens_reasoning = answer.tokens_reasoning or tokens.count(answer.reasoning)
    visible = tokens.count(answer.text) + tokens.count(answer.refusal)
    visible += sum(tokens.count(c.name) + tokens.count(c.raw or json.dumps(c.arguments)) for c in answer.calls)
    answer.tokens_out = answer.tokens_out or max(1, answer.tokens_reasoning + visible)


class PromptMemory:
    """The prefixes of earlier prompts of each model, for the count of cached tokens."""

    def __init__(self) -> None:
        """Start empty."""
        self._digests: set[bytes] = set()
        self._lock = threading.Lock()

    def recall(self, request: ModelRequest) -> int:
        """The number of a prompt's first tokens that an earlier prompt had too; the prompt is stored.

        Returns:
            0, or a multiple of 128 from 1024 on. Always 0 where the dialect marks what may be cached and nothing is
            marked.
        """
        if not request.cacheable:
            return 0
        pieces = tokens.pieces("\n".join(prompt(request))[: tokens.EXACT_LENGTH])
        running_hash = hashlib.blake2b(request.model.encode("utf-8", "surrogatepass"), digest_size=16)
        cached = 0
        for end in range(_BLOCK, len(pieces) + 1, _BLOCK):
            running_hash.update("".join(pieces[end - _BLOCK : end]).encode("utf-8", "surrogatepass"))
            if end >= _LEAST and self._remember(running_hash.digest()):
                cached = end
        return cached

    def _remember(self, digest: bytes) -> bool:
        with self._lock:
            cached = digest in self._digests
            if len(self._digests) >= _MOST_DIGESTS:
                self._digests.clear()
            self._digests.add(digest)
        return cached

    def clear(self) -> None:
        """Remove all prompts."""
        with self._lock:
            self._digests.clear()
