"""LangChain classes that call models through Cloudflare AI Gateway.

`ChatCloudflareAIGateway` is a chat model, `CloudflareAIGatewayLLM` a text model, `CloudflareAIGatewayEmbeddings`
embeds texts, `CloudflareAIGatewayReranker` sorts documents, and `CloudflareAIGatewayDecisionModel` answers questions
about a state. `CloudflarePromptCachingMiddleware` is for agents, `LogCollector` for costs. Needs the extra
`langchain`.

Constructors and calls
----------------------
The docstrings of the classes list the arguments of the constructors. Each of them but the connection settings (token,
account, `base_url`, `max_retries`, HTTP clients) can also be set for one call: `model.invoke(question,
model="anthropic/claude-haiku-4.5", temperature=0, gateway_metadata={"user": "u1"}, gateway_options={"skip_cache":
True}, extra_headers={...}, timeout=30)`. `gateway_options={"gateway_id": ...}` selects another gateway for one call.

An unknown argument of a constructor raises an error that suggests the right name. An unknown argument of a call raises
such an error if it looks misspelt (`temprature`), belongs to another package, or may hold a secret or an address. Any
other unknown argument of a call is added to the request body, so that new parameters of a model work at once.
`model.invoke(..., stop=[])` overrides the constructor's `stop`.

Answers
-------
`content` is a string. Reasoning is in `additional_kwargs["reasoning_content"]`, and `content_blocks` shows everything
in LangChain's standard blocks and in the provider's order: text with its citations, reasoning, tool calls, server
tools and their results, images, audio. With `output_version="v1"` those blocks are the content itself, streamed too.

`response_metadata["gateway"]` is what the gateway reports: log id, cache status, the model that answered.
`gateway_info(message)` returns it as a typed `GatewayInfo`. `response_metadata["finish_reason"]` is the provider's
word; `normalized_finish_reason` is OpenAI's for it (`stop`, `length`, `tool_calls`, `content_filter`), and
`finish_state` is `complete`, `incomplete`, `refused`, `failed` or `unknown`. `llm_output` and `generation_info` have
`token_usage` and `model_name` as OpenAI's classes have them. Anthropic's refusals are refusal blocks, too.

Messages that you send
----------------------
Images, audio, PDFs and files are accepted as standard blocks or in OpenAI's or Anthropic's form; for a block that the
format cannot carry, the error names a format that can.

A reply in the message history restores the provider's original blocks, so that signatures and encrypted reasoning keep
working across turns. The data for this are in the message's `additional_kwargs`, with a version and digests of its
text and reasoning. If you replace the text, for example to redact it, the old text, its citations and its reasoning
are not sent again. Data that are damaged or of another version are ignored. The same applies to LlamaIndex.

Tools
-----
`bind_tools` accepts tools in every form that LangChain accepts; a provider's built-in tools, such as `{"type":
"web_search"}`, are sent unchanged. `extras={"defer_loading": True}` of a tool reaches OpenAI's and Anthropic's models,
and LangChain's `ProviderToolSearchMiddleware` works with both.

Some models refuse a forced tool call: Anthropic's with thinking enabled, `anthropic/claude-opus-5.5`, `minimax/m2.7`,
`xai/grok-4.20-multi-agent` and `@cf/mistral...`; `@cf/zai-org/glm-4.7-flash` refuses one among several tools. For
these models `tool_choice="any"`, a tool's name and `ToolStrategy` raise a `ConfigError` before anything is sent. Use
`with_structured_output(schema)` or `ProviderStrategy(schema)` for objects; for tools omit `tool_choice`, and ask for
the tool in the prompt.

`web_search_tool`, `image_generation_tool`, `text_to_speech_tool` and `speech_to_text_tool` make tools that call the
gateway, for example `text_to_speech_tool("openai/tts-1", input={"voice": "alloy", "response_format": "mp3", "speed":
1}, folder="sounds")`. The model receives a text; the artifact of the tool message has the pages of a search, or a
file's contents or path, and the `log_id` of the call. Files are read from `folder` alone.

Structured output
-----------------
The schema is a pydantic class, a TypedDict or a JSON schema, and is enforced by the strictest means of the format;
`method="function_calling"` and `"json_mode"` are supported too. A truncated answer, a refusal or a missing call
raises, also in streams; `include_raw=True` returns `raw`, `parsed` and `parsing_error` instead. Reasoning in `<think>`
tags, code fences and prose around the JSON are ignored. An answer that does not fit the schema raises LangChain's
`OutputParserException`.

Conversations
-------------
The conversation id of a run (`thread_id`, `session_id` or `conversation_id` in its metadata or under `configurable`;
LangGraph sets `thread_id`) is sent where it has an effect: a Workers AI model finds its prompt cached, the Auto Router
keeps its model. It is sent as `x-session-affinity` or `cf-aig-session-id`: unchanged if it is visible ASCII of at most
128 characters, otherwise as a digest. `session_affinity=False` sends nothing; a header or a gateway option of your own
takes precedence.

The tools send the metadata of their run, too: `op` is `web_search`, `image`, `speech` or `transcription`. A reranker
inside a retriever (`ContextualCompressionRetriever`) has the metadata of the retriever's run. Embeddings of a
retriever that is invoked directly have no metadata of its config, because LangChain does not pass it on: wrap it,
`RunnableLambda(lambda question: question) | retriever`.

With `use_previous_response_id=True`, on the Responses format, only the messages after the newest reply that the
provider stores are sent. Every such reply carries a digest of the history that it answered, so a history that has been
edited, trimmed or summarized since is sent in full. If the provider no longer has the reply, the full history is sent
again within the same call. An explicit `previous_response_id=` of a call is not checked.

The Responses format has no stop sequences. With `stop=`, `auto` selects another format if the model has one; otherwise
the client cuts the answer before the first stop sequence. The tokens after it are still billed, and a stream that ends
this way has no token counts.

Prompt caches of providers
--------------------------
Cache hints are sent where you put them: `cache_control` on content blocks and tools, `model.invoke(...,
prompt_cache_key=..., prompt_cache_retention=...)`, or `cache_control=` of a call for Anthropic's automatic caching.
`usage_metadata["input_token_details"]` shows what was read from the cache and written to it.
`CloudflarePromptCachingMiddleware()` in `middleware=` of `create_agent` or a deep agent marks the system prompt, the
tools and the last message (extra `langchain-agents`). A marker on a system message, which the gateway takes as plain
text, is sent on the first block of the first user message, where it covers tools and system prompt.

deepagents needs no set-up: a model string works, and every agent and subagent on an `anthropic/` model has prompt
caching: `create_deep_agent(model="cloudflare_ai_gateway:anthropic/claude-haiku-4.5")`.
`CloudflarePromptCachingMiddleware(ttl="1h")` in `middleware=` replaces the default one.

LangChain's own cache is another one: `cache=False` turns it off for a model, while `skip_cache` is for the gateway's
cache. A `gateway_context` and the arguments of a call are part of its key.

Embeddings, reranking, text, decisions
--------------------------------------
Long lists are sent in batches of the size that the model accepts, four at a time (`max_concurrency`), and the vectors
are returned in order; a missing vector or one of the wrong length is an error. Queries and documents are sent in
separate fields if the model distinguishes them. `on_usage=` receives the tokens and the log id of every request. Empty
documents, which models refuse, are ranked last, without a score; an empty text in a list to embed raises a
`ConfigError` with its index.

`CloudflareAIGatewayLLM` implements LangChain's older text interface for the same models, with the same arguments
except those for tools. Each prompt is one request with its own run and metadata, also when `generate` receives many.
In a `batch` with `return_exceptions=True` a failed prompt does not affect the others. `generation_info` holds token
counts, `finish_reason`, reasoning, a refusal and `gateway`; in streams it comes with the last chunk.

`CloudflareAIGatewayDecisionModel` (langchain-core 1.8) answers typed questions about a state with probabilities;
LangChain's `ModelRouterMiddleware` and `AutoModeMiddleware` run on it. A call takes 64 questions and four images;
`Box` questions raise. The state may hold messages; its images (base64 or `data:` URLs) are sent beside it.
`request_id` of the response is the log id.

Names, profiles, tokens, serialization
--------------------------------------
`register()` makes `init_chat_model("cloudflare_ai_gateway:openai/gpt-5.4")`, `init_embeddings` and `create_agent` with
such a string work; `unregister()` undoes it. `model.profile` holds the context window and the capabilities of known
models for LangChain's middleware, and is None for others. `model.get_num_tokens_from_messages(...)` estimates one
token per four characters, tools included; `custom_get_token_ids=` sets an exact tokenizer.

`dumpd(model)` contains no secret; `load(data, allowed_objects=[ChatCloudflareAIGateway],
valid_namespaces=["cfaig_integrations"])` restores the model, with the token from the environment. Tracers see neither
`extra_headers` nor the credentials for other servers in `extra_body` and `mcp_servers`.

Models can be pickled and sent to worker processes, such as those of Ray and Dask. Pickles contain neither the token,
which the worker reads from its own environment, nor `extra_headers`; omitting the latter logs a warning. Account and
address are in the pickle, also if they came from the environment. An HTTP client or a rate limiter raises.

A secret in `extra_headers`, `extra_body`, `mcp_servers` or `tools` may be a `pydantic.SecretStr`: it is sent as it is,
and no `repr`, log, trace, event, `dumpd` or JSON shows it. As JSON it is written as `**********`, so set it again on a
model that was restored. A pickle holds `extra_body` as it is, secrets included.

Modules
-------
A chat call: `chat_model` builds the request from `inbound` (messages), `tools`, `arguments` and `run_tracking`, and
converts the reply with `outbound` or, in a stream, `chunks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfaig_integrations.adapters.lazy import lazy_names

if TYPE_CHECKING:
    from cfaig_integrations.langchain.chat_model import ChatCloudflareAIGateway
    from cfaig_integrations.langchain.costs import LogCollector
    from cfaig_integrations.langchain.decisions import CloudflareAIGatewayDecisionModel
    from cfaig_integrations.langchain.embeddings import CloudflareAIGatewayEmbeddings
    from cfaig_integrations.langchain.gateway_tools import (
        image_generation_tool,
        speech_to_text_tool,
        text_to_speech_tool,
        web_search_tool,
    )
    from cfaig_integrations.langchain.llm import CloudflareAIGatewayLLM
    from cfaig_integrations.langchain.outbound import gateway_info
    from cfaig_integrations.langchain.prompt_caching import CloudflarePromptCachingMiddleware
    from cfaig_integrations.langchain.registration import register, unregister
    from cfaig_integrations.langchain.reranker import CloudflareAIGatewayReranker

__all__ = [
    "ChatCloudflareAIGateway",
    "CloudflareAIGatewayDecisionModel",
    "CloudflareAIGatewayEmbeddings",
    "CloudflareAIGatewayLLM",
    "CloudflareAIGatewayReranker",
    "CloudflarePromptCachingMiddleware",
    "LogCollector",
    "gateway_info",
    "image_generation_tool",
    "register",
    "speech_to_text_tool",
    "text_to_speech_tool",
    "unregister",
    "web_search_tool",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ChatCloudflareAIGateway": "chat_model",
        "CloudflareAIGatewayDecisionModel": "decisions",
        "CloudflareAIGatewayEmbeddings": "embeddings",
        "CloudflareAIGatewayLLM": "llm",
        "CloudflareAIGatewayReranker": "reranker",
        "LogCollector": "costs",
        "CloudflarePromptCachingMiddleware": "prompt_caching",
        "gateway_info": "outbound",
        "image_generation_tool": "gateway_tools",
        "register": "registration",
        "speech_to_text_tool": "gateway_tools",
        "text_to_speech_tool": "gateway_tools",
        "unregister": "registration",
        "web_search_tool": "gateway_tools",
    },
    framework="langchain_core",
    extra="langchain",
)
