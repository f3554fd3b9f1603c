"""The step of an agent that asks the model; a browser is not needed for it."""

from __future__ import annotations

import asyncio
import json
import os

os.environ.update({"ANONYMIZED_TELEMETRY": "false", "BROWSER_USE_CLOUD_SYNC": "false"})

from browser_use import Agent
from browser_use.llm.exceptions import ModelProviderError
from browser_use.llm.messages import ContentPartImageParam, ContentPartTextParam, ImageURL, SystemMessage, UserMessage

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import recipe

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
STEP = {
    "evaluation_previous_goal": "None yet.",
    "memory": "Nothing.",
    "next_goal": "Finish.",
    "thinking": "The page shows the answer.",
    "action": [{"done": {"text": "It costs 5 dollars.", "success": True, "files_to_display": []}}],
}


async def steps(simulator: Simulator) -> None:
    """A step with a screenshot, one that the gateway refuses, and one whose connection breaks."""
    llm = recipe("browser-use", simulator)["llm"]
    agent = Agent(task="Find the price.", llm=llm)
    question = [ContentPartTextParam(text="What does it cost?"), ContentPartImageParam(image_url=ImageURL(url=PIXEL))]
    messages = [SystemMessage(content="You use a browser."), UserMessage(content=question)]
    simulator.reply(json.dumps(STEP))
    output = await agent.get_model_output(messages)
    assert output.action[0].model_dump(exclude_none=True)["done"]["text"] == "It costs 5 dollars.", output
    assert PIXEL in str(simulator.requests[-1].body)
    usage = (await llm.ainvoke([UserMessage(content="Hi")])).usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0, usage
    for fault, status in (("no_credits", 402), ("close_before_response", 502)):
        simulator.fault(fault)
        (error,) = await asyncio.gather(llm.ainvoke(messages), return_exceptions=True)
        assert isinstance(error, ModelProviderError), error
        assert error.status_code == status, error


def run(simulator: Simulator) -> str:
    """An action with a screenshot in the request, token counts, and browser-use's own error."""
    asyncio.run(steps(simulator))
    return "an action with a screenshot, token counts, errors"
