"""Calls models of both frameworks in worker processes of Ray and Dask: `python -m tests.scale_out.calls` prints JSON.

Every model is made here, called here, and called unchanged in a worker; the results must be equal.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import dask.bag
import dask.dataframe
import pandas as pd
import ray
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from cfaig_integrations import langchain, llama_index
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.simulator import Simulator

CHAT, EMBEDDING = "openai/gpt-5.4", "@cf/baai/bge-small-en-v1.5"
TEXTS = [f"Paris, {number} km" for number in range(8)]
OTHER_ENVIRONMENT = {"CLOUDFLARE_ACCOUNT_ID": "", "CLOUDFLARE_API_BASE_URL": "http://127.0.0.1:9"}


def call(model: Any) -> Any:
    match model:
        case langchain.ChatCloudflareAIGateway():
            return model.invoke("Where is Paris?").text
        case langchain.CloudflareAIGatewayLLM():
            return model.invoke("Where is Paris?")
        case langchain.CloudflareAIGatewayEmbeddings():
            return model.embed_documents(TEXTS)
        case langchain.CloudflareAIGatewayReranker():
            return [each.page_content for each in model.compress_documents([Document(text) for text in TEXTS], "5 km")]
        case llama_index.CloudflareAIGateway():
            return model.complete("Where is Paris?").text
        case llama_index.CloudflareAIGatewayEmbedding():
            return model.get_text_embedding_batch(TEXTS)
        case llama_index.CloudflareAIGatewayRerank():
            nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
            return [each.text for each in model.postprocess_nodes(nodes, query_str="5 km")]
        case _:
            raise AssertionError(type(model))


def models() -> list[Any]:
    return [
        langchain.ChatCloudflareAIGateway(CHAT),
        langchain.CloudflareAIGatewayLLM(CHAT),
        langchain.CloudflareAIGatewayEmbeddings(EMBEDDING),
        langchain.CloudflareAIGatewayReranker(),
        llama_index.CloudflareAIGateway(CHAT),
        llama_index.CloudflareAIGatewayEmbedding(EMBEDDING),
        llama_index.CloudflareAIGatewayRerank(),
    ]


def error_without_token(model: Any) -> str:
    """The error of a call in a worker without a token; it has the package's own class here too."""
    try:
        ray.get(ray.remote(call).options(runtime_env={"env_vars": {"CLOUDFLARE_API_TOKEN": ""}}).remote(model))
    except ConfigError as error:
        return str(getattr(error, "cause", ""))  # Ray adds the worker's traceback to the message
    return ""


def on_ray(simulator: Simulator) -> dict[str, Any]:
    options: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    ray.init("local", **options, log_to_driver=False, logging_level="ERROR")
    remote = ray.remote(call).options(runtime_env={"env_vars": OTHER_ENVIRONMENT})
    equal = [ray.get(remote.remote(model)) == call(model) for model in models()]
    without_token = [error_without_token(model) for model in models()]
    simulator.reset()
    simulator.fault("gateway_rate_limit", times=2)
    limited = bool(ray.get(remote.remote(models()[0])))
    requests = len(simulator.requests)
    ray.shutdown()
    return {"ray": equal, "without token": without_token, "limited": limited, "requests": requests}


def on_dask() -> dict[str, Any]:
    here, there = models()[2], models()[5]
    bag = dask.bag.from_sequence(TEXTS, npartitions=2).map_partitions(lambda part: here.embed_documents(list(part)))
    frame = dask.dataframe.from_pandas(pd.DataFrame({"text": TEXTS}), npartitions=2).map_partitions(
        lambda part: part.assign(vector=there.get_text_embedding_batch(list(part["text"]))),
        meta={"text": "string", "vector": "object"},
    )
    with dask.config.set(scheduler="processes", num_workers=1):
        expected = call(here)
        return {"dask": [bag.compute() == expected, frame.compute()["vector"].tolist() == expected]}


def main() -> None:
    """Calls and prints."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with Simulator() as simulator:
        os.environ.update(simulator.environment)
        result = on_ray(simulator) | on_dask()
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
