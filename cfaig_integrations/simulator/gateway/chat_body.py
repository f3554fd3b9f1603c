"""Reads the body of a chat request that was captured or logged, in terms that do not depend on its format."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.gateway.target import aim
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.types import InvalidBody, ModelRequest


def read_chat_body(api: str, body: dict[str, Any], path_model: str | None = None) -> ModelRequest:
    """The request; without messages if the body breaks a rule of its format.

    Args:
        api: A key of `DIALECTS`.
        body: The parsed body.
        path_model: The model that the path names.
    """
    try:
        target = aim(api, body, path_model)
        return DIALECTS[api].read({**target.input, "model": target.model})
    except (ApiError, InvalidBody, RecursionError):
        return ModelRequest(path_model or str(body.get("model", "")), [])
