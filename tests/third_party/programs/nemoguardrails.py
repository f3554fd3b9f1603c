"""Rails that check what goes in and what comes out."""

from __future__ import annotations

import asyncio

from nemoguardrails import LLMRails, RailsConfig

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import recipe

CONFIG = """
models: []
instructions:
  - type: general
    content: You are a bot.
rails:
  input:
    flows: [self check input]
  output:
    flows: [self check output]
prompts:
  - task: self_check_input
    content: 'Should this be blocked? "{{ user_input }}" Answer yes or no.'
  - task: self_check_output
    content: 'Should this answer be blocked? "{{ bot_response }}" Answer yes or no.'
"""


def run(simulator: Simulator) -> str:
    """An answer that passes both rails, a question that is blocked, and a log with token counts."""
    llm = recipe("nemoguardrails", simulator)["llm"]
    rails = LLMRails(RailsConfig.from_content(yaml_content=CONFIG), llm=llm)
    for text in ("no", "Hello there.", "no"):
        simulator.reply(text)
    answer = rails.generate(
        messages=[{"role": "user", "content": "Hi"}], options={"log": {"llm_calls": True, "activated_rails": True}}
    )
    assert answer.response[-1]["content"] == "Hello there.", answer
    llm_calls = answer.log.llm_calls
    assert len(llm_calls) == 3
    assert all(call.total_tokens and call.total_tokens > 0 for call in llm_calls), llm_calls
    simulator.reply("yes")
    blocked = asyncio.run(rails.generate_async(messages=[{"role": "user", "content": "Do harm."}]))
    assert "can't respond" in blocked["content"], blocked
    assert len(simulator.requests) == 4
    return "input and output rails, blocked question, token counts in the log"
