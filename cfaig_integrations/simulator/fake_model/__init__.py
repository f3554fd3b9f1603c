"""The model inside the simulator: answers a request without a neural network, the same way every time.

Knows no HTTP and no wire format. What it says comes from the request alone: `scene` finds the open question,
`choosing` decides on tool calls, `filling` writes JSON out of `materials`, `speech` writes prose, and `wording` tells
words apart for all of them; `thinking` puts them in order. Besides, `usage` counts tokens, and `vectors` embeds.
"""

from cfaig_integrations.simulator.fake_model.reasoning import generate_answer
from cfaig_integrations.simulator.fake_model.usage import PromptMemory, measure

__all__ = ["PromptMemory", "generate_answer", "measure"]
