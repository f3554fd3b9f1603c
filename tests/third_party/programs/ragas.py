"""Metrics with a model of each framework."""

from __future__ import annotations

import json
import warnings

from ragas import EvaluationDataset, evaluate
from ragas.cost import get_token_usage_for_openai
from ragas.llms import LangchainLLMWrapper, LlamaIndexLLMWrapper
from ragas.metrics import Faithfulness, ResponseRelevancy

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import chat_model, llm, recipe

warnings.simplefilter("ignore", DeprecationWarning)
SAMPLE = {
    "user_input": "When was the tower built?",
    "response": "It was built in 1889.",
    "retrieved_contexts": ["The tower was built in 1889."],
}
STATEMENTS = {"statements": ["The tower was built in 1889."]}
VERDICTS = {"statements": [{"statement": STATEMENTS["statements"][0], "reason": "It says so.", "verdict": 1}]}
QUESTION = {"question": "When was the tower built?", "noncommittal": 0}


def run(simulator: Simulator) -> str:
    """Faithfulness with both frameworks, relevancy with LangChain's, and the tokens that ragas counts."""
    dataset = EvaluationDataset.from_list([SAMPLE])
    guide = recipe("ragas", simulator)
    for model in (guide["llm"], LlamaIndexLLMWrapper(llm(simulator))):
        simulator.reply(json.dumps(STATEMENTS))
        simulator.reply(json.dumps(VERDICTS))
        parser = get_token_usage_for_openai if isinstance(model, LangchainLLMWrapper) else None
        result = evaluate(
            dataset, metrics=[Faithfulness()], llm=model, token_usage_parser=parser, show_progress=False,
            raise_exceptions=True,
        )  # fmt: skip
        assert result["faithfulness"] == [1.0], result
        if parser is not None:
            tokens = result.total_tokens()
            assert tokens.input_tokens > 0 < tokens.output_tokens, tokens
    for claude in (False, True):  # Anthropic's API has no `n`, so ragas asks several times
        simulator.reply(json.dumps(QUESTION), times=1 if not claude else 3)
        model = chat_model(simulator, **({"model": "anthropic/claude-haiku-4.5"} if claude else {}))
        result = evaluate(
            dataset,
            metrics=[ResponseRelevancy(strictness=3 if claude else 1)],
            llm=LangchainLLMWrapper(model, bypass_n=claude),
            embeddings=guide["embeddings"],
            show_progress=False,
            raise_exceptions=True,
        )
        assert result["answer_relevancy"][0] > 0.9, result
    return "faithfulness (both frameworks), relevancy (OpenAI and Anthropic models), token counts"
