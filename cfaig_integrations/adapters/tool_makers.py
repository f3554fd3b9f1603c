"""The functions that make tools which call the gateway, for any framework."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack, cast

from cfaig_integrations.adapters.gateway_tools import (
    ConnectionArguments,
    GatewayTool,
    ImageGeneration,
    SpeechToText,
    TextToSpeech,
    WebSearchTool,
)
from cfaig_integrations.gateway.catalog import SearchProvider

_Tool = TypeVar("_Tool")
_Function = TypeVar("_Function", bound=Callable[..., object])


def returning(kind: type, function: _Function) -> _Function:
    """A method of a `ToolMaker` as a function of the module that made the `ToolMaker`, so that pickle finds it there.

    Its signature, at run time too, names the type of the framework's tools.
    """

    @wraps(function)
    def make(*args: Any, **kwargs: Any) -> object:
        return function(*args, **kwargs)

    made, method = cast("Any", make), cast("Any", function)
    made.__annotations__ = {**function.__annotations__, "return": kind}
    made.__signature__ = inspect.signature(function).replace(return_annotation=kind)
    made.__module__, made.__qualname__ = method.__self__.wrap.__module__, method.__name__
    return cast("_Function", make)


class ToolMaker(Generic[_Tool]):
    """The functions, for one framework.

    Args:
        wrap: Makes the framework's own tool object.
    """

    def __init__(self, wrap: Callable[[GatewayTool], _Tool]) -> None:
        self.wrap = wrap

    def web_search_tool(
        self,
        *,
        name: str = "web_search",
        description: str | None = None,
        provider: SearchProvider | None = None,
        limit: int | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> _Tool:
        """A tool that searches the web.

        Args:
            name: Name of the tool, for the model.
            description: What it does, for the model.
            provider: `ceramic` (the server's default), `exa` or `linkup`.
            limit: Most results.
            **connection: Arguments of `AIGateway`; those that are left out come from the environment.

        Raises:
            ConfigError: A value is missing or not valid.
        """
        return self.wrap(WebSearchTool(name, description, provider=provider, limit=limit, **connection))

    def image_generation_tool(
        self,
        model: str,
        *,
        input: Mapping[str, Any] | None = None,
        field: str | None = None,
        folder: str | Path | None = None,
        name: str = "generate_image",
        description: str | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> _Tool:
        """A tool that generates an image from a description.

        Args:
            model: Model id, such as `cloudflare/image`.
            input: Further input fields of the model, such as `{"quality": "high"}`.
            field: Input field of the description, for a model that this package does not know.
            folder: Where files are written; by default a file stays in memory.
            name: Name of the tool, for the model.
            description: What it does, for the model.
            **connection: Arguments of `AIGateway`; those that are left out come from the environment.

        Raises:
            ConfigError: A value is missing or not valid.
        """
        return self.wrap(
            ImageGeneration(name, description, model=model, input=input, field=field, folder=folder, **connection)
        )

    def text_to_speech_tool(
        self,
        model: str,
        *,
        input: Mapping[str, Any] | None = None,
        field: str | None = None,
        folder: str | Path | None = None,
        name: str = "text_to_speech",
        description: str | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> _Tool:
        """A tool that speaks a text.

        Args:
            model: Model id, such as `openai/tts-1`.
            input: Further input fields of the model, such as `{"voice": "alloy"}`.
            field: Input field of the text, for a model that this package does not know.
            folder: Where files are written; by default a file stays in memory.
            name: Name of the tool, for the model.
            description: What it does, for the model.
            **connection: Arguments of `AIGateway`; those that are left out come from the environment.

        Raises:
            ConfigError: A value is missing or not valid.
        """
        return self.wrap(
            TextToSpeech(name, description, model=model, input=input, field=field, folder=folder, **connection)
        )

    def speech_to_text_tool(
        self,
        model: str,
        *,
        input: Mapping[str, Any] | None = None,
        field: str | None = None,
        folder: str | Path | None = None,
        name: str = "speech_to_text",
        description: str | None = None,
        **connection: Unpack[ConnectionArguments],
    ) -> _Tool:
        """A tool that transcribes a recording: a URL, a data URL, or a file in `folder`.

        Args:
            model: Model id, such as `cloudflare/stt`.
            input: Further input fields of the model.
            field: Input field of the recording, for a model that this package does not know.
            folder: The only place from which files are read; by default none are.
            name: Name of the tool, for the model.
            description: What it does, for the model.
            **connection: Arguments of `AIGateway`; those that are left out come from the environment.

        Raises:
            ConfigError: A value is missing or not valid.
        """
        return self.wrap(
            SpeechToText(name, description, model=model, input=input, field=field, folder=folder, **connection)
        )
