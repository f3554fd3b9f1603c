"""The fake model: answers a request without a neural network, the same way every time, from the request alone.

`conversation` finds the open question, `select_tools` chooses tool calls, `fill_schema` makes JSON out of what
`extract` finds, `replies` writes prose with the help of `text`, and `reasoning` combines them. `usage` counts
tokens, `vectors` makes embeddings, and `media` makes images and sounds.
"""

from cfaig_integrations.simulator.fake_model.reasoning import PromptMemory, generate_answer, measure

__all__ = ["PromptMemory", "generate_answer", "measure"]
