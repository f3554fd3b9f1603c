"""What the framework adapters share, and how to write another.

An adapter is a package that converts between a framework's objects and the conversation model in `core`. It names no
wire format and does no I/O; import contracts and a test enforce that. `langchain` and `llama_index` have these parts:

1. Fields. A class of the framework inherits `fields.ChatFields` or `EmbedFields`, and thereby its constructor
   arguments, `self._clients.sync` and `self._clients.aio`, which call the gateway. `_framework_error` converts errors,
   if the framework has classes for them.
2. `inbound`: messages to `core.content.Turn`. `core.hints` writes what only one provider understands, such as a cache
   marker; `core.replay.restore` adds what an earlier reply kept beside its message.
3. `tools`: tools to `core.chat.ToolSpec`, with `tools.tool_of_function` for functions and `tool_of_mapping` for dicts;
   `choice_among` reads a tool choice.
4. `run_metadata`: a `run_metadata.Framework` record with the framework's defaults, and a function that fills a
   `RunInfo` with what the framework knows of the current run and returns `RunEntries`.
5. The call: `arguments.split_arguments` separates its arguments from body fields; `chat_request` and `call_options`
   turn them into what a client's `chat` and `stream` take, `embed_requests` and `run_options` do so for embeddings.
6. `outbound`: a `core.chat.ChatReply` to the framework's response, with `core.replay.replay_state` of its turn wherever
   the framework keeps a message's further data. For streams, the events of `core.events` to the framework's chunks;
   `core.fold.Fold` collects them and gives the whole reply at the end.
7. The package's `__getattr__` is `lazy.lazy_names`; `pyproject.toml` has an extra and the import contracts.

`tests/adapters/test_new_adapter.py` is a complete adapter of the smallest possible framework.
"""
