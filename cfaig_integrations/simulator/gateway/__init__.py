"""The gateway's own parts: who may enter, which headers and models there are, what is refused, limited, cached, stored.

Each part knows its own rule only; `calls` walks a model call through all of them.
"""
