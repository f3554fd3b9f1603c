"""Runs of every modality, batches, models, gateways, credits and searches on the simulated gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cfaig_integrations.errors import GatewayError, InvalidRequest, PaymentRequired
from cfaig_integrations.simulator import Simulator
from tests.client.gateway_api import Api, png, size_of, wav
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def api(request: pytest.FixtureRequest, sim: Simulator) -> Api:
    settings = {"account_id": sim.account_id, "api_token": sim.api_token, "gateway_id": "default"}
    return Api(sim, asynchronous=request.param, **settings)


TTS = {"voice": "alloy", "response_format": "mp3", "speed": 1}
MEDIA: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "a URL": ("openai/gpt-image-2", {"prompt": "a cat"}, {}, "image/png"),
    "URLs": ("bytedance/seedream-5-pro", {"prompt": "a cat"}, {}, "image/png"),
    "an alias": ("cloudflare/image", {"prompt": "a cat"}, {}, "image/png"),
    "a form": (
        "@cf/black-forest-labs/flux-2-dev",
        {"prompt": "a cat"},
        {"files": {"input_image_0": png()}},
        "image/png",
    ),
    "raw bytes": ("@cf/lykon/dreamshaper-8-lcm", {"prompt": "a cat"}, {}, "image/png"),
    "a sound at a URL": ("openai/tts-1", {"text": "Hello", **TTS}, {}, "audio/mpeg"),
    "a raw sound": ("@cf/deepgram/aura-2-en", {"text": "Hello"}, {}, "audio/mpeg"),
    "base64": ("@cf/myshell-ai/melotts", {"prompt": "Hello"}, {}, "audio/mpeg"),
    "base64 without state": ("google/gemini-3.8-flash-tts", {"text": "Hello"}, {}, "audio/wav"),
    "in the background": ("cloudflare/image", {"prompt": "a cat"}, {"options": {"background": True}}, "image/png"),
}


@pytest.mark.parametrize("name", MEDIA)
def test_files(sim: Simulator, api: Api, name: str) -> None:
    model, fields, arguments, media_type = MEDIA[name]
    arguments |= {"poll_interval": 0.001, "wait": PATIENCE} if "options" in arguments else {}
    result = api.run(model, fields, gateway_metadata={"team": "docs"}, **arguments)
    assert result.media_type == media_type
    assert result.key_source == (None if model.startswith(("@cf/", "cloudflare/")) else "Unified")
    if media_type == "image/png":
        assert size_of(result.bytes) == (512, 512)
    (entry,) = sim.logs(metadata={"team": "docs"})
    assert (entry["id"], entry["model"]) == (result.info.log_id, model)
    assert api.cost(result) == api.cost([result.info]) == entry["cost"]
    assert entry["cost"] > 0


def test_a_raw_recording_is_transcribed(api: Api) -> None:
    speech = api.run("@cf/deepgram/aura-2-en", {"text": "Hello from Paris."}).bytes
    output = api.run("@cf/deepgram/nova-3", speech).json
    assert output["results"]["channels"][0]["alternatives"][0]["transcript"] == "Hello from Paris."
    assert api.run("@cf/openai/whisper", wav()).json["text"] == "A recording of 0.5 seconds."


def test_embeddings_rankings_and_decisions(api: Api) -> None:
    assert api.run("@cf/baai/bge-m3", {"text": ["a", "b"]}).json["shape"] == [2, 1024]
    contexts = [{"text": "Paris is in France."}, {"text": "Rome is in Italy."}]
    ranked = api.run("@cf/baai/bge-reranker-base", {"query": "Where is Rome?", "contexts": contexts}).json
    assert ranked["response"][0]["id"] == 1
    questions = {"urgent": {"type": "noul", "instructions": "Is it urgent?"}}
    decided = api.run("@cf/cloudflare/clef", {"model": "clef", "state": "urgent", "questions": questions}).json
    assert 0 <= decided["answers"]["urgent"]["noul"] <= 1


def test_a_batch_with_an_error_in_it(api: Api) -> None:
    inputs = [{"text": "a"}, {"texts": "b"}, {"text": "c"}]
    states: list[str] = []
    arguments = {"progress": lambda status, _: states.append(status), "poll_interval": 0.001, "wait": PATIENCE}
    first, second, third = api.run_batch("@cf/baai/bge-m3", inputs, **arguments)
    assert states == ["queued", "running"]
    assert first.json["shape"] == third.json["shape"] == [1, 1024]
    assert isinstance(second, GatewayError)


def test_a_wrong_input_and_a_fault(sim: Simulator, api: Api) -> None:
    with pytest.raises(InvalidRequest, match="voice"):
        api.run("openai/tts-1", {"text": "Hello"})
    with pytest.raises(InvalidRequest, match="invalid_web_search_input"):
        api.web_search("a", provider="other")
    sim.fault("no_credits")
    with pytest.raises(PaymentRequired):
        api.run("cloudflare/image", {"prompt": "a cat"})


def test_the_account(sim: Simulator, api: Api) -> None:
    search = api.web_search("Cloudflare Tunnel", limit=2, gateway_metadata={"team": "docs"})
    assert search.pages[0].url == "https://example.com/cloudflare-tunnel"
    assert api.log(search.log_id).metadata == {"team": "docs"}
    names = [model.name for model in api.models(task="Text-to-Speech")]
    assert names == ["@cf/deepgram/aura-2-en", "@cf/myshell-ai/melotts"]
    assert len(api.models()) > 20
    assert [gateway.id for gateway in api.gateways()] == ["default"]
    assert 9_000 < api.credits().balance < 10_000
