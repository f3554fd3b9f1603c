"""LangChain and LlamaIndex on Cloudflare AI Gateway.

The classes for the frameworks are in `cfaig_integrations.langchain` and `cfaig_integrations.llama_index`, whose
docstrings are their reference; a local gateway is in `cfaig_integrations.simulator`, and what is repeated after an
error in `cfaig_integrations.errors`. This page has what they share.

Environment
-----------
`CLOUDFLARE_API_TOKEN` and `CLOUDFLARE_ACCOUNT_ID` are required, unless you pass `api_token` and `account_id`.
`CLOUDFLARE_AI_GATEWAY_ID` and `CLOUDFLARE_API_BASE_URL` are optional.

Hosts
-----
- REST API: the default. A Cloudflare API token is `api_token`.
- Custom domain: `base_url="https://HOST/compat"`, a Cloudflare Access token is `api_token`. It serves one gateway: no
  account and no `gateway_id`; at most four entries in `gateway_metadata`; Chat Completions only.
- Older host: `base_url="https://gateway.ai.cloudflare.com/v1/ACCOUNT/GATEWAY/compat"`, the provider's key is
  `extra_headers={"Authorization": "Bearer ..."}`, the gateway's token is `api_token`; Chat Completions only. For a
  gateway without authentication pass only the provider's key: no token, or `api_token=None` if the environment has
  one.

`base_url` may end in `/accounts/ACCOUNT/ai/v1`, as OpenAI's client needs it. Plain `http` to another machine logs a
warning once, because the token can be read on the way.

Metadata
--------
At most five entries (four behind a custom domain) of strings, numbers or booleans. UUIDs, enums and dates become
strings, long strings are cut at 200 characters, and a key that begins with `cf.` is refused. What is not valid raises
before anything is sent.

Entries that you do not use are filled from the run: `user_id`, `thread_id` (or `session_id`, `conversation_id`) from
the run's metadata or LangChain's `configurable`, `agent` (in a graph of agents `name:node`), `run_id`,
`parent_run_id`, `op`; in streams, batches, chains, agents and LangGraph in every `stream_mode`. Nothing else is
forwarded. `metadata_keys=["tenant", "run_id"]` selects other entries, `metadata_mapper=lambda run: {...}` replaces the
rules and receives a `RunInfo`, `run_metadata=False` disables them.

The precedence is: `gateway_metadata=` of a call, inner `gateway_context`, outer `gateway_context`, LangChain's
`config["metadata"]["cf_aig_metadata"]` or LlamaIndex's `with_gateway`, the constructor, the run. Tags of LlamaIndex's
`instrument_tags` come before the constructor.

The log
-------
The cost of a call is only in the gateway's log; every answer has the id of its entry. The entry of a stream can be
half a second late: `AIGateway.log` retries once, and `run_cost` waits for late entries and lists those that never
came. Reading requires a token with AI Gateway > Read, feedback one with AI Gateway > Edit, models and runs one with
Workers AI > Read. A `LogCollector` counts chat models, LLMs, embeddings, rerankers, decision models and the gateway's
tools; a failed call counts if the gateway logged it, and a call that was sent several times has several entries.

Streams, timeouts, limits
-------------------------
A stream ends with the end marker of its format. Anything after it is ignored; a stream that ends without a marker or a
complete answer raises `StreamBroken`, whose `partial` is the text so far. `timeout` and `stream_idle_timeout` measure
progress of the answer: pings, comments and whitespace, which servers send to keep a connection alive, do not extend
them. This also applies to answers that are not streamed, and to your own HTTP clients. Such an answer may take three
times the read timeout in total once its body has begun. For streams the shorter of `stream_idle_timeout` and an
explicit `timeout` applies.

An answer that is not streamed may have 200 MB, decompressed, and the body of an error 1 MB. A larger answer raises
`ProtocolError`; a longer error body is truncated.

Connections, threads, event loops, processes
--------------------------------------------
All model objects share one pool for threads and one for each event loop, each with at most 1,000 connections, of which
100 stay open for 60 seconds without use. A call that finds none free waits as long as `timeout` (read), and then
raises a `TimeoutFault`. Other limits need a client of your own:
`http_client=httpx.Client(limits=httpx.Limits(max_connections=2000, max_keepalive_connections=200,
keepalive_expiry=30))`, `http_async_client=httpx.AsyncClient(limits=...)`.

Ctrl-C ends a call at once and closes its connection. Some calls send several requests in threads: LangChain's
`embed_documents`, several prompts of the LLM class, and `run_cost`. Then Ctrl-C does not wait for the requests that
run, and no further one is started; the gateway may bill those that were sent. LangChain's own `batch` waits for the
calls that run.

asyncio, uvloop and nested loops (nest_asyncio) work. A stream belongs to the event loop that opened it: closing it in
another is allowed, reading it there raises an error. Under trio, LlamaIndex, LangChain's embeddings and reranker, and
`AsyncAIGateway` work with `http_async_client=httpx.AsyncClient()`, and raise a `ConfigError` without it; LangChain's
chat models need asyncio.
After a fork the child opens connections of its own; model objects can be sent to spawned processes, without the token.

Names of other packages
-----------------------
These arguments are accepted too: `api_key` and `cloudflare_api_token` (`api_token`), `cloudflare_account_id`
(`account_id`), `ai_gateway` (`gateway_id`), `api_base` and `openai_api_base` (`base_url`), `gateway_options`
(`gateway`), `aig_metadata` (`gateway_metadata`), `default_headers` (`extra_headers`), `model_kwargs` and
`additional_kwargs` (`extra_body`), `model_name` (`model`), `request_timeout` (`timeout`), `stream_chunk_timeout`
(`stream_idle_timeout`), `max_completion_tokens`, `max_output_tokens` and `max_tokens_to_sample` (`max_tokens`),
`stop_sequences` (`stop`), `effort` (`reasoning_effort`), `reasoning_options` (`reasoning`), `thinking_dict`
(`thinking`), `async_http_client` (`http_async_client`). The model may be the only positional argument. Any other
argument of langchain-openai, langchain-anthropic, langchain-cloudflare and LlamaIndex's packages for the same
providers raises an error with what to write instead, such as `use_responses_api` (`api="responses"`), `skip_cache`
(`gateway=GatewayOptions(skip_cache=...)`) or `openai_api_key` (nothing: the gateway bills or holds the key).

ragas asks for several answers at once (`n`), which Anthropic's API does not have: use `LangchainLLMWrapper(model,
bypass_n=True)`, which sends several requests.

Importing
---------
Names are loaded when they are first used: importing the package imports neither httpx nor pydantic nor a framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cfaig_integrations._version import __version__

if TYPE_CHECKING:
    from cfaig_integrations.adapters.run_metadata import RunInfo
    from cfaig_integrations.client.api import (
        AIGateway,
        AsyncAIGateway,
        Credits,
        GatewayEntry,
        LogEntry,
        LogFilter,
        ModelEntry,
        RunCost,
        RunFile,
        RunResult,
        WebPage,
        WebSearch,
    )
    from cfaig_integrations.errors import (
        ApiError,
        AuthError,
        ConfigError,
        ConnectFault,
        ContextOverflow,
        GatewayError,
        GuardrailBlocked,
        InvalidRequest,
        NotFound,
        PaymentRequired,
        PermissionDenied,
        ProtocolError,
        QuotaExceeded,
        RateLimited,
        ServerFault,
        StreamBroken,
        TimeoutFault,
        TransportFault,
        UnsupportedContent,
    )
    from cfaig_integrations.gateway.context import gateway_context
    from cfaig_integrations.gateway.info import GatewayInfo
    from cfaig_integrations.gateway.options import CustomCost, GatewayOptions

__all__ = [
    "AIGateway",
    "ApiError",
    "AsyncAIGateway",
    "AuthError",
    "ConfigError",
    "ConnectFault",
    "ContextOverflow",
    "Credits",
    "CustomCost",
    "GatewayEntry",
    "GatewayError",
    "GatewayInfo",
    "GatewayOptions",
    "GuardrailBlocked",
    "InvalidRequest",
    "LogEntry",
    "LogFilter",
    "ModelEntry",
    "NotFound",
    "PaymentRequired",
    "PermissionDenied",
    "ProtocolError",
    "QuotaExceeded",
    "RateLimited",
    "RunCost",
    "RunFile",
    "RunInfo",
    "RunResult",
    "ServerFault",
    "StreamBroken",
    "TimeoutFault",
    "TransportFault",
    "UnsupportedContent",
    "WebPage",
    "WebSearch",
    "__version__",
    "gateway_context",
]

_API = ("AIGateway", "AsyncAIGateway", "Credits", "GatewayEntry", "LogEntry", "LogFilter", "ModelEntry")
_RESULTS = ("RunCost", "RunFile", "RunResult", "WebPage", "WebSearch")
_MODULES = {
    **dict.fromkeys((*_API, *_RESULTS), "client.api"),
    "CustomCost": "gateway.options",
    "GatewayInfo": "gateway.info",
    "GatewayOptions": "gateway.options",
    "RunInfo": "adapters.run_metadata",
    "gateway_context": "gateway.context",
}
"""Module of each name that is not an error."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
