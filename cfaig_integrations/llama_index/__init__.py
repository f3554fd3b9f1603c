"""LlamaIndex on Cloudflare AI Gateway.

`CloudflareAIGateway` is an LLM with tools for every model behind the gateway, `CloudflareAIGatewayEmbedding` embeds
texts, `CloudflareAIGatewayRerank` orders nodes by relevance, and `LogCollector` is for costs. Needs the extra
`llama-index`.

Constructors and calls
----------------------
The docstrings of the classes list the arguments of the constructors. Each of them but the connection settings can also
be set for one call: `llm.complete(question, model="anthropic/claude-haiku-4.5", temperature=0,
gateway_metadata={"user": "u1"}, gateway_options={"skip_cache": True}, timeout=30)`. LlamaIndex passes the arguments of
a call to its event handlers, and so to tracing services. Pass secrets to the constructor: its `api_token` and
`extra_headers` appear in no event, `repr` or `to_dict()`. Or write a secret as `pydantic.SecretStr`, which events and
spans show as `**********`.

Answers
-------
`chat`, `complete`, `stream_chat`, `stream_complete` and their asynchronous counterparts are implemented natively. A
stream is opened by the call itself, so errors before the first chunk are raised there. Each of its responses holds the
whole message so far, and the last one the token counts.

`additional_kwargs` have token counts, the provider's `finish_reason`, and the same in OpenAI's vocabulary
(`normalized_finish_reason`) and as `finish_state`; `raw` has `usage` and `finish_reason` under OpenAI's names on every
format, for tracers. What the gateway reports is in `additional_kwargs["cf_aig"]` of the response (of a stream: of the
last one), and in `raw["cf_aig"]` of every response, because agents pass on only `raw`.

Answers hold text, `ThinkingBlock`s (in streams also `additional_kwargs["thinking_delta"]`), tool calls, citations, and
images or audio. Signatures, encrypted reasoning and the provider's original blocks are stored in the message's
`additional_kwargs`, survive memory and JSON, and are sent back with the history: keep them if you store messages
yourself.

Messages that you send
----------------------
Blocks for text, images, audio, video, documents and citable texts are accepted; for a block that the format cannot
carry, the error names a format that can. `CachePoint` marks a prompt for Anthropic's cache.

Tools and agents
----------------
`chat_with_tools`, `predict_and_call` and their asynchronous and streaming variants accept LlamaIndex's tools, OpenAI's
and Anthropic's tool objects, and a provider's built-in tools unchanged: `{"type": "web_search"}`. `tool_choice=`
accepts a name. A tool name that servers refuse is replaced by a legal one in requests and restored in responses.

In streams tool calls grow with each response, several in parallel. A truncated call stays a string in `tool_kwargs`,
and an agent reports that to the model. For a model without tool calling, use a `ReActAgent`. For a model that refuses
a forced tool call, LlamaIndex's selectors and programs offer their tool without forcing it; `tool_required=True` and
`tool_choice=` raise.

`web_search_tool`, `image_generation_tool`, `text_to_speech_tool` and `speech_to_text_tool` make tools that call the
gateway. The model receives a text; `raw_output` has the pages of a search, or a file's contents or path, and the
`log_id` of the call.

Structured output
-----------------
`structured_predict`, `as_structured_llm`, `output_cls=` of query engines and agents, and their asynchronous and
streaming forms are supported. `structured_output` of the constructor selects the method: `json_schema`,
`function_calling`, or `prompt` for models that support neither; `auto` uses the first that the model is known to
support, function calling only if the call can be forced. A truncated answer, a refusal or a missing call raises a
`ValueError` with the finish reason.

Embeddings and reranking
------------------------
Texts are sent in batches of the size that the model accepts, or of `embed_batch_size`; `aget_text_embedding_batch`
sends `num_workers` batches at a time (4 by default), the synchronous method one after the other. Vectors are returned
in order; a missing vector or one of the wrong length is an error, which says how many texts were embedded. Nodes
without text, such as images, get no vector from `embed_model(nodes)`, and the reranker returns them last, without a
score. An empty text in an explicit list raises a `ConfigError` with its index. Queries and documents are sent in
separate fields if the model distinguishes them.

The key of LlamaIndex's `embeddings_cache` is the text alone. Use one cache per model and role: never share one between
models, and use none for an object that embeds both queries and documents with a model that distinguishes them.

Metadata of a run
-----------------
The entries of the run are those of `instrument_tags` around the call, then `run_id` and `agent` of a workflow, and
`op`, the purpose of the call: `query`, `index_construction`, `chat` and so on; at most four. Of the tags that
LlamaIndex itself sets only the run id is forwarded, because two of them contain the user's messages. A `thread_id`,
`session_id` or `conversation_id` among the tags also names the conversation for `session_affinity`. A tag overrides an
entry of the constructor with the same name. Nested `instrument_tags` replace one another; nested `gateway_context`
blocks are merged.

`with_gateway`, on all three classes, returns a copy whose metadata and options apply to every call. LlamaIndex sends
the question of a streaming query engine when its answer is first read: read it inside the block of `instrument_tags`
or `gateway_context`, or use `with_gateway`, which also applies in new threads and in worker processes. LlamaIndex's
engines and agents do not pass arguments on to the calls they make, so these three are the ways to reach such a call.

Context windows, tokens, worker processes
-----------------------------------------
`llm.metadata` has the context windows of known models. Any other model, and a dynamic route, is assumed to have
128,000 tokens, or 8,192 on Workers AI, with one warning in the log; `context_window=` overrides it. `num_output` is
`max_tokens` if that is less than half of the window.

`TokenCountingHandler` shows the server's counts of every chat and completion, streams included. For embeddings it
counts with LlamaIndex's tokenizer; `on_usage=` of the embedding class receives the server's counts and the log id of
each request. LlamaIndex computes what fits into a prompt with its tokenizer, which is OpenAI's unless you set another.

Models can be pickled and sent to worker processes, such as those of `IngestionPipeline(...).run(num_workers=4)`, Ray
and Dask. The pickle does not contain the token: a worker reads it from its own environment, and its first call raises
an error if there is none. Account and address are in the pickle, also if they came from the environment. HTTP clients
are omitted. So are `extra_headers`, which may hold a secret, and a rate limiter or a lambda, each with a warning in
the log: set them again on the unpickled model.

`to_dict()` and `to_json()` contain neither the token nor `extra_headers`; `from_dict` restores the model, with the
token from the environment. Credentials of MCP servers (`authorization`, `authorization_token`, `headers`) in
`extra_body` and `mcp_servers` are written as `**********` there and in events: set them again on the restored model.
`model_dump()` and pickles hold them unchanged.

Not supported
-------------
- More than one answer per call: `n=2` raises.
- `use_previous_response_id`, `profile`, `output_version` and `register()`, which exist in LangChain only.
- Blocks for the calls of a provider's built-in tools, such as a web search. They are sent back with the history, but
  LlamaIndex has no block type for them; citations of the text are shown.
- Embeddings of anything but text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfaig_integrations.adapters.lazy import lazy_names

if TYPE_CHECKING:
    from cfaig_integrations.llama_index.costs import LogCollector
    from cfaig_integrations.llama_index.embedding import CloudflareAIGatewayEmbedding
    from cfaig_integrations.llama_index.gateway_tools import (
        image_generation_tool,
        speech_to_text_tool,
        text_to_speech_tool,
        web_search_tool,
    )
    from cfaig_integrations.llama_index.llm import CloudflareAIGateway
    from cfaig_integrations.llama_index.rerank import CloudflareAIGatewayRerank

__all__ = [
    "CloudflareAIGateway",
    "CloudflareAIGatewayEmbedding",
    "CloudflareAIGatewayRerank",
    "LogCollector",
    "image_generation_tool",
    "speech_to_text_tool",
    "text_to_speech_tool",
    "web_search_tool",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CloudflareAIGateway": "llm",
        "CloudflareAIGatewayEmbedding": "embedding",
        "CloudflareAIGatewayRerank": "rerank",
        "LogCollector": "costs",
        "image_generation_tool": "gateway_tools",
        "speech_to_text_tool": "gateway_tools",
        "text_to_speech_tool": "gateway_tools",
        "web_search_tool": "gateway_tools",
    },
    framework="llama_index",
    extra="llama-index",
)
