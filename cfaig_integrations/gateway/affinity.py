"""Which header keeps the calls of one conversation together, where the model's host can do that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from uuid import UUID

from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.options import TABLE, GatewayOptions

__all__ = ["affinity_headers", "opaque"]

_HEADERS: Mapping[str, str] = MappingProxyType({row.field: row.header for row in TABLE})
_LEGAL = re.compile(r"[!-~]{1,128}")


def affinity_headers(model: str, conversation: object, options: GatewayOptions | None) -> dict[str, str]:
    """The header that tells the host of a model which conversation a call belongs to; none if it would not listen.

    A field of the options goes before what is known without being asked, and so does `no_session_affinity`.

    Args:
        model: Model id as the user wrote it.
        conversation: The conversation's id; anything but a text, a whole number or a UUID is none.
        options: What the gateway is told.

    Raises:
        ConfigError: The model id cannot be right.
    """
    value = opaque(conversation)
    field = None if value is None else routes.affinity_of(model)
    if value is None or field is None:
        return {}
    if options is not None and (options.no_session_affinity or getattr(options, field) is not None):
        return {}
    return {_HEADERS[field]: value}


def opaque(conversation: object) -> str | None:
    """A conversation's id as a header can hold it: as it is, or a digest if it is too long or not visible ASCII."""
    if not isinstance(conversation, str | int | UUID) or isinstance(conversation, bool):
        return None
    text = str(conversation)
    if not text:
        return None
    return text if _LEGAL.fullmatch(text) else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
