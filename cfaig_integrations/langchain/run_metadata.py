"""Which run a call belongs to, and what the run says to the gateway's log.

how the run is caught where LangChain keeps it back is `runaware`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, BaseRunManager
from langchain_core.runnables import RunnableConfig, ensure_config

from cfaig_integrations.adapters.fields import GatewayFields
from cfaig_integrations.adapters.run_metadata import (
    Framework,
    Operation,
    RunEntries,
    RunInfo,
    automatic,
    conversation_of,
)
from cfaig_integrations.errors import ConfigError

_LANGCHAIN = Framework(name="langchain")
CONFIG_KEY = "cf_aig_metadata"
"""Entry of a run config's metadata that holds a layer of the gateway's."""
_NOTHING: Mapping[str, Any] = {}


class Watch(BaseCallbackHandler):
    """Sees one stream's run begin. Until then, and without run metadata, it knows the config alone.

    Attributes:
        name: The run's name, if it was given one.
        run_id: As of the run that began.
        parent_run_id: As of the run that began.
        tags: As of the run that began.
        metadata: The model object's own entries and the config's, as LangChain merges them.
        inheritable_metadata: The config's entries.
    """

    run_inline = True

    def __init__(self, config: RunnableConfig) -> None:
        callbacks = config.get("callbacks")
        self.name = config.get("run_name")
        self.run_id: UUID | None = None
        self.parent_run_id = callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None
        self.tags = config.get("tags") or []
        self.metadata: Mapping[str, Any] = _NOTHING
        self.inheritable_metadata = config.get("metadata") or _NOTHING

    @property
    def ignore_llm(self) -> bool:
        """Tokens and the end are of no interest."""
        return True

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keeps what is told of the run."""
        self.run_id, self.parent_run_id, self.tags = run_id, parent_run_id, tags or []
        self.metadata = metadata or _NOTHING


_Seen: TypeAlias = BaseRunManager | Watch
SEEN: ContextVar[_Seen | None] = ContextVar("cfaig_langchain_run", default=None)
"""The run as it was caught on the way."""


def run_info(manager: BaseRunManager | None, operation: Operation) -> RunInfo:
    """The run of a call: of its manager if LangChain gave one, else as it was caught, else of the runnable around it.

    Args:
        manager: The call's run manager.
        operation: What the call is.
    """
    caught = SEEN.get()
    seen = manager or caught or Watch(ensure_config())
    # A caller's metadata wins over the model object's; LangChain merges them the other way round.
    metadata = {**seen.metadata, **seen.inheritable_metadata}
    return RunInfo(
        framework=_LANGCHAIN.name,
        operation=operation,
        run_id=None if seen.run_id is None else str(seen.run_id),
        parent_run_id=None if seen.parent_run_id is None else str(seen.parent_run_id),
        name=next((each.name for each in (caught, seen) if isinstance(each, Watch)), None),
        agent=":".join(str(part) for key in ("lc_agent_name", "langgraph_node") if (part := metadata.get(key))) or None,
        tags=tuple(seen.tags),
        metadata=metadata,
    )


def run_entries(fields: GatewayFields, manager: BaseRunManager | None, operation: Operation) -> RunEntries:
    """What a call's run says to the gateway's log.

    Args:
        fields: The constructor arguments that decide it.
        manager: The call's run manager, if LangChain gave one.
        operation: What the call is.

    Raises:
        ConfigError: The config's layer is not a dict, or the mapper fails.
    """
    run = run_info(manager, operation)
    asked: object = run.metadata.get(CONFIG_KEY) or _NOTHING
    if not isinstance(asked, Mapping):
        raise ConfigError(
            f'config["metadata"]["{CONFIG_KEY}"]={asked!r} is not a dict.',
            field=CONFIG_KEY,
            value=asked,
            remedy="Give a dict.",
        )
    found = (
        automatic(run, _LANGCHAIN, fields.metadata_keys, fields.metadata_mapper) if fields.run_metadata else _NOTHING
    )
    return RunEntries(cast("Mapping[str, Any]", asked), found, conversation_of(run.metadata))
