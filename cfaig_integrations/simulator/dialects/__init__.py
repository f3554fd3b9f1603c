"""The formats of requests and responses, written from the vendors' published formats and `facts`."""

from __future__ import annotations

from cfaig_integrations.simulator.dialects.chat_completions import CHAT_COMPLETIONS
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.dialects.media import find_media, run_media
from cfaig_integrations.simulator.dialects.messages import MESSAGES
from cfaig_integrations.simulator.dialects.responses import RESPONSES
from cfaig_integrations.simulator.dialects.run import RUN
from cfaig_integrations.simulator.dialects.tasks import decide, embed, is_decision_model, search

__all__ = ["DIALECTS", "Dialect", "decide", "embed", "find_media", "is_decision_model", "run_media", "search"]

DIALECTS: dict[str, Dialect] = {
    "chat_completions": CHAT_COMPLETIONS,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "run": RUN,
}
