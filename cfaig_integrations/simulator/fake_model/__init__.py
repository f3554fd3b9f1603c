"""The fake model: answers a request without a neural network, the same way every time, from the request alone.

`conversation` finds the open question, `text` the values in a text, `select_tools` chooses tool calls, `fill_schema`
makes JSON, `replies` writes prose, and `reasoning` combines them and counts tokens. `vectors` makes embeddings, and
`media` makes images and sounds.
"""

from cfaig_integrations.simulator.fake_model.reasoning import PromptMemory, generate_answer, measure

__all__ = ["PromptMemory", "generate_answer", "measure"]
