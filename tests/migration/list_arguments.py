"""Lists the arguments of the classes that users replace, in an environment that has their packages.

    pip install langchain-openai langchain-anthropic langchain-cloudflare llama-index-llms-openai \
        llama-index-llms-openai-like llama-index-llms-anthropic llama-index-llms-cloudflare-ai-gateway
    python tests/migration/list_arguments.py > tests/migration/arguments.json

A call's arguments are those of the provider's package, to which all these classes pass further arguments on.
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

CLASSES = {
    "ChatOpenAI": ("langchain-openai", "langchain_openai"),
    "ChatAnthropic": ("langchain-anthropic", "langchain_anthropic"),
    "ChatCloudflareWorkersAI": ("langchain-cloudflare", "langchain_cloudflare"),
    "OpenAI": ("llama-index-llms-openai", "llama_index.llms.openai"),
    "OpenAIResponses": ("llama-index-llms-openai", "llama_index.llms.openai"),
    "OpenAILike": ("llama-index-llms-openai-like", "llama_index.llms.openai_like"),
    "Anthropic": ("llama-index-llms-anthropic", "llama_index.llms.anthropic"),
    "CloudflareAIGateway": ("llama-index-llms-cloudflare-ai-gateway", "llama_index.llms.cloudflare_ai_gateway"),
}
FUNCTIONS = {
    "chat.completions.create": ("openai", "openai.resources.chat.completions", "Completions.create"),
    "responses.create": ("openai", "openai.resources.responses", "Responses.create"),
    "messages.create": ("anthropic", "anthropic.resources.beta.messages", "Messages.create"),
    "ChatOpenAI.bind_tools": ("langchain-openai", "langchain_openai", "ChatOpenAI.bind_tools"),
    "ChatAnthropic.bind_tools": ("langchain-anthropic", "langchain_anthropic", "ChatAnthropic.bind_tools"),
    "ChatOpenAI.with_structured_output": ("langchain-openai", "langchain_openai", "ChatOpenAI.with_structured_output"),
    "ChatAnthropic.with_structured_output": (
        "langchain-anthropic",
        "langchain_anthropic",
        "ChatAnthropic.with_structured_output",
    ),
}
NO_ARGUMENTS = {"self", "args", "kwargs"}


def constructor_arguments(kind: Any) -> list[str]:
    """The fields of a pydantic class with their aliases, and the parameters of its constructor."""
    aliases = {field.alias for field in kind.model_fields.values() if field.alias}
    return sorted({*kind.model_fields, *aliases, *inspect.signature(kind).parameters} - NO_ARGUMENTS)


def parameters(module: str, path: str) -> list[str]:
    """The parameters of a function."""
    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return sorted({*inspect.signature(found).parameters} - NO_ARGUMENTS)


def main() -> None:
    """Prints the lists as JSON."""
    packages = {package for package, *_ in (*CLASSES.values(), *FUNCTIONS.values())}
    lists = {
        "versions": {package: version(package) for package in sorted(packages)},
        "constructors": {
            name: constructor_arguments(getattr(import_module(module), name)) for name, (_, module) in CLASSES.items()
        },
        "functions": {name: parameters(module, path) for name, (_, module, path) in FUNCTIONS.items()},
    }
    sys.stdout.write(json.dumps(lists, indent=1) + "\n")


if __name__ == "__main__":
    main()
