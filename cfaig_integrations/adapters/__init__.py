"""What the framework adapters share: constructor fields, call arguments, tool definitions, run metadata.

An adapter for another framework converts its messages to a `core.chat.ChatRequest`, and a `core.chat.ChatReply` or the
events of a stream to its own types. `fields` gives its classes their arguments and their clients, `arguments` takes
what a call adds, `tools` reads tool definitions, and `run_metadata` turns what the framework knows of a run into
entries of the gateway's log.
"""
