"""Counts the tokens of a request and its answer, and those that a prompt cache would have."""

from __future__ import annotations

import hashlib
import json
import threading

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.types import Answer, ModelRequest

_MESSAGE_OVERHEAD = 4
_BLOCK, _LEAST = 128, 1024
"""Tokens: OpenAI caches prompts from 1024 on, in steps of 128."""


def prompt(request: ModelRequest) -> list[str]:
    """The texts that a model is given, what changes least first: tools, schema, conversation."""
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
    """Count the tokens of a request and of its answer into the answer; counts that a script gave are kept."""
    overhead = _MESSAGE_OVERHEAD * len(request.messages)
    answer.tokens_in = answer.tokens_in or sum(tokens.count(t) for t in prompt(request)) + overhead
    answer.tokens_reasoning = answer.tokens_reasoning or tokens.count(answer.reasoning)
    spoken = tokens.count(answer.text) + tokens.count(answer.refusal)
    spoken += sum(tokens.count(c.name) + tokens.count(c.raw or json.dumps(c.arguments)) for c in answer.calls)
    answer.tokens_out = answer.tokens_out or max(1, answer.tokens_reasoning + spoken)


class PromptMemory:
    """The beginnings of the prompts that each model was given, for the count of cached tokens."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._seen: set[bytes] = set()
        self._lock = threading.Lock()

    def recall(self, request: ModelRequest) -> int:
        """How many of a prompt's first tokens the model was given before; the prompt is remembered.

        Returns:
            0, or a multiple of 128 from 1024 on. Always 0 where the dialect marks what may be cached and nothing is
            marked.
        """
        if not request.cacheable:
            return 0
        found = tokens.pieces("\n".join(prompt(request)))
        read = hashlib.blake2b(request.model.encode("utf-8", "surrogatepass"), digest_size=16)
        known = 0
        for end in range(_BLOCK, len(found) + 1, _BLOCK):
            read.update("".join(found[end - _BLOCK : end]).encode("utf-8", "surrogatepass"))
            if end >= _LEAST and self._knows(read.digest()):
                known = end
        return known

    def _knows(self, mark: bytes) -> bool:
        with self._lock:
            known = mark in self._seen
            self._seen.add(mark)
        return known

    def clear(self) -> None:
        """Forget every prompt."""
        with self._lock:
            self._seen.clear()
