"""Tools that an agent calls through the gateway: web search, image generation, text to speech, speech to text.

A framework makes its own tool object of a `GatewayTool`: from `name`, `description` and `arguments`, and from `call` or
`acall`, whose `ToolResult` has a text for the model and the data for the program.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypedDict, Unpack, cast
from uuid import uuid4

from pydantic import BaseModel, Field

from cfaig_integrations.adapters.run_metadata import Operation, RunEntries
from cfaig_integrations.client.api import AIGateway
from cfaig_integrations.client.api_base import GatewayId, Metadata, Options, Token
from cfaig_integrations.client.async_api import AsyncAIGateway
from cfaig_integrations.errors import ConfigError, ProtocolError, invalid, shown
from cfaig_integrations.gateway.catalog import SearchProvider, WebSearch
from cfaig_integrations.gateway.connection import Timeout
from cfaig_integrations.gateway.context import current, within
from cfaig_integrations.gateway.media_types import media_type_of
from cfaig_integrations.gateway.models.media import MediaTask, input_of
from cfaig_integrations.gateway.run_result import RunResult


class ConnectionArguments(TypedDict, total=False):
    """The arguments of `AIGateway`; those that are left out come from the environment."""

    account_id: str | None
    api_token: Token
    gateway_id: GatewayId
    base_url: str | None
    gateway: Options
    gateway_metadata: Metadata
    timeout: Timeout | None
    max_retries: int | None


class ToolResult(NamedTuple):
    """What a call of a tool returns."""

    text: str
    data: dict[str, Any]


def within_run(run: RunEntries) -> AbstractContextManager[None]:
    """Inside the block, calls of tools add what their run contributes to the gateway's log."""
    context = current()
    return within(replace(context, metadata=(*context.metadata, run.explicit), automatic=run.automatic))


class SearchArguments(BaseModel):
    """What to search for."""

    query: str = Field(description="What to search the web for.")


class ImageArguments(BaseModel):
    """What to draw."""

    prompt: str = Field(description="Detailed description of the image.")


class SpeechArguments(BaseModel):
    """What to say."""

    text: str = Field(description="The text to speak.")


class TranscriptionArguments(BaseModel):
    """What to transcribe."""

    audio: str = Field(description="The recording: its https URL, data URL, or the name of a file of another tool.")


class GatewayTool(ABC):
    """A tool that calls the gateway.

    Attributes:
        arguments: The model's arguments.
        purpose: The description, unless the user gives another.
        operation: Kind of the call, for the gateway's log.

    Raises:
        ConfigError: A value is missing or not valid.
    """

    arguments: ClassVar[type[BaseModel]]
    purpose: ClassVar[str]
    operation: ClassVar[Operation]

    def __init__(self, name: str, description: str | None = None, **connection: Unpack[ConnectionArguments]) -> None:
        self.name = name
        self.description = description or self.purpose
        self._sync = AIGateway(**connection)
        self._async = AsyncAIGateway(**connection)

    @abstractmethod
    def call(self, argument: str) -> ToolResult:
        """Calls the gateway with the one argument of the tool.

        Raises:
            ConfigError: The argument is not valid; nothing was sent.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """

    @abstractmethod
    async def acall(self, argument: str) -> ToolResult:
        """Calls the gateway; as `call`."""


class WebSearchTool(GatewayTool):
    """Searches the web."""

    arguments = SearchArguments
    purpose = "Searches the web. Returns titles, addresses and summaries of pages."
    operation = "web_search"

    def __init__(
        self,
        name: str,
        description: str | None = None,
        *,
        provider: SearchProvider | None = None,
        limit: int | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> None:
        super().__init__(name, description, **connection)
        self._provider: SearchProvider | None = provider
        self._limit = limit

    def call(self, argument: str) -> ToolResult:
        """Searches."""
        return _pages(self._sync.web_search(argument, provider=self._provider, limit=self._limit))

    async def acall(self, argument: str) -> ToolResult:
        """Searches."""
        return _pages(await self._async.web_search(argument, provider=self._provider, limit=self._limit))


def _pages(search: WebSearch) -> ToolResult:
    entries = [f"{number}. {page.title}\n{page.url}\n{page.description}" for number, page in enumerate(search.pages, 1)]
    pages = [{"url": page.url, "title": page.title, "description": page.description} for page in search.pages]
    return ToolResult("\n\n".join(entries) or "No results.", {"pages": pages, "log_id": search.log_id})


_RunInput: TypeAlias = tuple[Mapping[str, Any] | bytes, Mapping[str, bytes] | None]
"""The input of a run, and the files of a form."""


class MediaTool(GatewayTool):
    """A tool that runs a model of images or speech.

    Raises:
        ConfigError: `input` contains the field of the tool's argument, or a value is missing or not valid.
    """

    task: ClassVar[MediaTask]

    def __init__(
        self,
        name: str,
        description: str | None = None,
        *,
        model: str,
        input: Mapping[str, Any] | None = None,
        field: str | None = None,
        folder: str | Path | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> None:
        super().__init__(name, description, **connection)
        self._model = model
        self._row = input_of(model, self.task)
        self._field = field or self._row.field
        self._input = dict(input or {})
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and not self._folder.is_dir():
            raise invalid("folder", str(folder), "is not a folder", "Create it first.")
        if self._field in self._input:
            raise ConfigError(
                f"input has the field {self._field!r}, which the model that calls the tool fills.",
                field="input",
                value=self._input,
                remedy="Remove it from input, or name another one with field=.",
            )

    def call(self, argument: str) -> ToolResult:
        """Runs the model."""
        input, files = self._run(argument)
        return self._result(self._sync.run(self._model, input, files=files))

    async def acall(self, argument: str) -> ToolResult:
        """Runs the model."""
        input, files = self._run(argument)
        return self._result(await self._async.run(self._model, input, files=files))

    def _run(self, argument: str) -> _RunInput:
        return {**self._input, self._field: self._value(argument)}, {} if self._row.form else None

    def _value(self, argument: str) -> str:
        return argument

    def _result(self, result: RunResult) -> ToolResult:
        data: dict[str, Any] = {"model": self._model, "media_type": result.media_type, "log_id": result.info.log_id}
        contents = result.bytes
        kind = result.media_type or "unknown type"
        if self._folder is None:
            data["data"] = b64encode(contents).decode()
            return ToolResult(f"Created {self.task} ({kind}, {len(contents)} bytes), which the program received.", data)
        extension = kind.partition("/")[2].partition("+")[0] or "bin"
        path = result.save(self._folder / f"{self.task}-{uuid4().hex[:12]}.{extension}")
        return ToolResult(f"Created the file {path.name} ({kind}, {len(contents)} bytes).", data | {"path": str(path)})


class ImageGeneration(MediaTool):
    """Generates an image from a description."""

    arguments = ImageArguments
    purpose = "Generates an image from a description."
    task = operation = "image"


class TextToSpeech(MediaTool):
    """Speaks a text."""

    arguments = SpeechArguments
    purpose = "Speaks a text aloud, and returns a recording."
    task = operation = "speech"


class SpeechToText(MediaTool):
    """Transcribes a recording."""

    arguments = TranscriptionArguments
    purpose = "Transcribes a recording of speech."
    task = operation = "transcription"

    def _run(self, argument: str) -> _RunInput:
        """The recording as the model takes it.

        Raises:
            ConfigError: It is neither a URL nor a file of the tool's folder, or the model takes no URLs or no `input`.
        """
        if not self._row.raw:
            return super()._run(argument)
        if self._input:
            raise ConfigError(
                f"input has {sorted(self._input)}, and {self._model!r} takes nothing but a recording.",
                field="input",
                value=self._input,
                remedy="Leave input out.",
            )
        try:
            return b64decode(self._base64(argument), validate=True), None
        except ValueError:
            raise self._refusal(argument, "Its base64 is not valid.") from None

    def _value(self, argument: str) -> str:
        if self._row.base64:
            return self._base64(argument)
        if argument.partition(":")[0].lower() in ("https", "data"):
            return argument
        contents = self._read(argument)
        media_type = media_type_of(contents, argument) or "application/octet-stream"
        return f"data:{media_type};base64,{b64encode(contents).decode()}"

    def _base64(self, argument: str) -> str:
        head, _, encoded = argument.partition(",")
        scheme = argument.partition(":")[0].lower()
        if scheme == "data" and head.endswith(";base64"):
            return encoded
        if scheme in ("https", "data"):
            raise self._refusal(argument, "Give a data URL in base64, or the name of a file.")
        return b64encode(self._read(argument)).decode()

    def _read(self, name: str) -> bytes:
        """The contents of a file in the tool's folder; the model that calls the tool can name no other."""
        if self._folder is not None:
            with suppress(OSError, ValueError):  # no file can have such a name, or it cannot be read
                path = (self._folder / name).resolve()
                if path.is_relative_to(self._folder.resolve()) and path.is_file():
                    return path.read_bytes()
        raise self._refusal(name, "Give an https URL, a data URL, or the name of a file in the tool's folder.")

    def _refusal(self, audio: str, remedy: str) -> ConfigError:
        return invalid("audio", audio, f"cannot be read for {self._model!r}", remedy)

    def _result(self, result: RunResult) -> ToolResult:
        output: object = result.json
        text = _transcript(output)
        if text is None:
            raise ProtocolError(f"The output of {self._model!r} has no text.", body=shown(output))
        return ToolResult(text, {"model": self._model, "output": output, "log_id": result.info.log_id})


def _transcript(output: object) -> str | None:
    """The text of a transcription; Deepgram's is that of the first channel's best alternative."""
    text: object = output
    if isinstance(output, Mapping):
        fields = cast("Mapping[str, Any]", output)
        try:
            results: Any = fields.get("results")
            text = fields["text"] if "text" in fields else results["channels"][0]["alternatives"][0]["transcript"]
        except (KeyError, IndexError, TypeError):
            return None
    return text if isinstance(text, str) else None
