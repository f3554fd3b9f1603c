"""A local gateway for tests, demonstrations and notebooks: no account, no network.

A real HTTP server on the loopback interface with the endpoints, authentication, validation, error bodies, cache, rate
limits, log and streams of the gateway, as far as they are known. Its fake models answer from the context of the
request, call tools and fill schemas. Faults can be injected by name, and exact replies by script. Needs the extra
`simulator`.

Three ways to run it
--------------------
`with Simulator() as gateway:` in a program; `gateway.environment` are the variables that point another one at it. The
fixture `ai_gateway` in tests (extra `pytest`): a `ScriptedGateway`. `cfaig serve` on the command line (extra `cli`;
`python -m cfaig_integrations.simulator` is the same with fewer options).

`cfaig serve --database log.sqlite` keeps the log and the gateways in a file; an entry is on disk before its response
ends, and survives the end of the process at any moment. `--upstream URL` forwards calls to an OpenAI- or
Anthropic-compatible server, such as Ollama, llama.cpp or vLLM, and keeps cache, log, limits and metadata. That server
is asked for `--upstream-model`, or else for the requested id or its part after the author, whichever it lists. A
format that it lacks is translated where it is text, tools and JSON schemas, and refused otherwise; a translated stream
begins when the answer is complete. `--prices FILE` has dollars per million tokens: `{"openai/gpt-4.1": {"input": 2,
"output": 8, "cached_input": 0.5}, "local/*": {}}`. `cfaig serve --help` lists the other options.

What it serves
--------------
Cloudflare's REST API, its logs, gateways, dynamic routes and models APIs, and the older host with `/compat`, the
universal endpoint and the providers' own paths. A gateway's settings take spend limits and guardrails in Cloudflare's
form; guardrails find hazards by words, and `unsafe:S1` in a text stands for any of the category S1.

It serves every modality: images (PNG files), speech (WAV or MP3 files), transcription, translation, summaries,
classification, object detection, image descriptions, decisions, embeddings, ranking, web search; runs in the
background and batches; the account's token, credits, gateways and models, so that `cfaig doctor` checks all of it. It
can transcribe the speech and describe the images that it has made. It makes no films and calls no webhooks. Prices are
made up.

The page at its address, such as `http://127.0.0.1:8787/`, shows the calls as they are made. It filters them, draws
cost and latency by any metadata key, and opens a call to show its conversation, headers and bodies, with credentials
replaced by `***`. Totals and chart cover the newest 5,000 calls that pass the filter.

The server refuses requests of other web sites, by the headers `Host` and `Origin`. Its own page and `/_simulator/` are
open to clients on the same machine; others send the API token there too, in a browser as the password. On an address
that is not a loopback address the token is a random one unless you set it.

Scripted replies
----------------
`ai_gateway.reply(...)` queues the reply to one chat request, `ai_gateway.script([...])` one for each mapping of the
list. Without a script the fake model answers. With `ai_gateway.strict = True`, or `ai_gateway_strict = true` among
pytest's settings, a chat request without a scripted reply is refused and fails the test, even if the program catches
the error. Embeddings, rankings, decisions, images and sound are always answered. A client repeats what can be
repeated, so `gateway_rate_limit` is answered by the next reply; set `times` for an error that lasts.

`ai_gateway.requests` are the chat requests in terms that do not depend on the format. `ai_gateway.simulator` is the
`Simulator` itself, with its log, its faults and its clock. A failed test lists its requests.

Modules
-------
The simulator shares no code with the rest of the package, so that a mistake in one is not repeated in the other.
Modules import only those listed above them:

    types, tokens, json_types, clock    definitions that all share
    catalogue      the models, and what a token costs
    fake_model/    generates answers without a neural network
    dialects/      request and response formats
    http/          connections, captured requests, responses, error bodies
    gateway/       the gateway's rules               scripting/     scripted answers and faults
    upstream/      a real server behind the gateway
    state          everything that one simulator owns
    inference/     model calls                       management/    all other paths
    page/          the web page
    app, server    the routes, and the public class `Simulator`
    testing, pytest_plugin    the fixture `ai_gateway`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfaig_integrations.simulator.http.recorder import Captured
    from cfaig_integrations.simulator.scripting.faults import FAULTS, Fault
    from cfaig_integrations.simulator.server import Simulator
    from cfaig_integrations.simulator.testing import ChatRequest, ScriptedGateway
    from cfaig_integrations.simulator.types import Answer, Call
    from cfaig_integrations.simulator.upstream.client import Upstream

__all__ = ["FAULTS", "Answer", "Call", "Captured", "ChatRequest", "Fault", "ScriptedGateway", "Simulator", "Upstream"]

_MODULES = {
    "FAULTS": "scripting.faults", "Answer": "types", "Call": "types", "Captured": "http.recorder",
    "ChatRequest": "testing", "Fault": "scripting.faults", "ScriptedGateway": "testing", "Simulator": "server",
    "Upstream": "upstream.client",
}  # fmt: skip
_NEEDED = frozenset({"starlette", "uvicorn", "h11"})


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.partition(".")[0] in _NEEDED:
            raise ImportError(
                "cfaig_integrations.simulator needs the 'simulator' extra: pip install 'cfaig-integrations[simulator]'"
            ) from missing
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
