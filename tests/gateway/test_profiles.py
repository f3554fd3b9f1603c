"""What models can do: the rules of looking a name up, and what the table may not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.gateway.models.profiles import TABLE, WORKERS_AI, Profile, Row, profile_of
from cfaig_integrations.gateway.models.routes import row_of
from cfaig_integrations.simulator import catalogue

OTHERS = [name for row in TABLE for name in row.models.split()]
WORKERS_AI_NAMES = [name for row in WORKERS_AI for name in row.models.split()]
ROWS = [*TABLE, *WORKERS_AI]

anything = st.text(max_size=60)
prefixes = st.sampled_from(["", "openai/", "@cf/meta/", "@hf/x/", "workers-ai/", "workers-ai/@cf/x/", "dynamic/", "/"])
suffixes = st.one_of(st.sampled_from(["", "-", ":", "@", "-2025-08-07", "-external", "/", ".5", "-image"]), anything)
likely = st.builds(lambda *parts: "".join(parts), prefixes, st.sampled_from([*OTHERS, *WORKERS_AI_NAMES]), suffixes)


def assert_consistent(profile: Profile) -> None:
    assert 0 < profile.max_input <= profile.context_window
    assert profile.max_output is None or 0 < profile.max_output < profile.context_window
    assert "text" in profile.inputs
    assert profile.tools or not profile.tool_choice


@given(st.one_of(anything, likely))
def test_any_string_has_a_consistent_profile(model: str) -> None:
    assert_consistent(profile_of(model))


@given(st.one_of(anything, st.sampled_from(OTHERS)))
def test_a_dynamic_route_is_never_known(route: str) -> None:
    assert profile_of(f"dynamic/{route}") == profile_of("dynamic/support")
    assert not profile_of("dynamic/support").is_listed


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.models)
def test_rows_are_consistent_and_have_evidence(row: Row) -> None:
    assert row.evidence
    assert row.models.split()
    assert_consistent(row.profile())


def test_no_name_has_two_rows() -> None:
    for names in (OTHERS, WORKERS_AI_NAMES):
        assert len(names) == len({name.replace(".", "-") for name in names})


@pytest.mark.parametrize("name", OTHERS)
def test_spellings_of_a_model(name: str) -> None:
    expected = next(row for row in TABLE if name in row.models.split()).profile()
    spellings = [name, f"some/{name}", name.replace(".", "-"), name.upper(), f"{name}-20250929", f"{name}@latest"]
    if "/" in name:
        spellings.remove(f"some/{name}")
    assert [profile_of(each) for each in spellings] == [expected] * len(spellings)


@pytest.mark.parametrize("name", WORKERS_AI_NAMES)
def test_spellings_of_a_workers_ai_model(name: str) -> None:
    expected = next(row for row in WORKERS_AI if name in row.models.split()).profile()
    spellings = [
        f"@cf/author/{name}",
        f"workers-ai/@cf/author/{name}",
        f"@hf/author/{name}",
        f"@cf/author/{name}-external",
    ]
    assert [profile_of(each) for each in spellings] == [expected] * len(spellings)


@pytest.mark.parametrize(
    ("model", "window", "output"),
    [
        ("openai/gpt-4o-2024-08-06", 128_000, 16_384),
        ("openai/gpt-4o-2024-05-13", 128_000, 4_096),  # its own row goes before the longest prefix
        ("openai/gpt-4o-mini-2024-07-18", 128_000, 16_384),
        ("openai/gpt-4.1-2025-04-14", 1_047_576, 32_768),
        ("openai/gpt-5-2025-08-07", 400_000, 128_000),
        ("openai/gpt-5.1-codex-max", 400_000, 128_000),
        ("openai/gpt-5-chat-latest", 128_000, 16_384),
        ("openai/o3-mini-2025-01-31", 200_000, 100_000),
        ("anthropic/claude-sonnet-4-5-20250929", 200_000, 64_000),
        ("anthropic/claude-sonnet-4@20250514", 200_000, 64_000),
        ("anthropic/claude-3.7-sonnet:thinking", 200_000, 64_000),
        ("anthropic/claude-opus-4.8", 1_000_000, 128_000),
        ("google-ai-studio/gemini-2.5-pro-preview-05-06", 1_048_576, 65_536),
        ("google/gemini-3-flash", 1_048_576, 65_536),
        ("grok/grok-4", 256_000, None),
        ("grok/grok-4-0709", 256_000, None),
        ("xai/grok-4.20-0309-reasoning", 1_000_000, 30_000),
        ("groq/openai/gpt-oss-120b", 131_072, 40_960),
        ("deepseek/deepseek-chat", 1_000_000, 384_000),
        ("mistral/mistral-large-2411", 131_072, 16_384),
        ("minimax/m3", 1_000_000, 128_000),
    ],
)
def test_the_longest_part_of_a_name_counts(model: str, window: int, output: int | None) -> None:
    found = profile_of(model)
    assert (found.context_window, found.max_output, found.is_listed) == (window, output, True)


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4.5-preview",  # another version than gpt-4
        "openai/gpt-5.9",
        "openai/gpt-4-32k",
        "openai/gpt-4oh",  # a name ends at a hyphen, a colon or an at sign
        "anthropic/claude-2.1",
        "google/gemini-2.5-flash-image",  # another kind of model
        "openai/gpt-4o-mini-tts",
        "openai/gpt-4o-transcribe",
        "google/gemini-1.5-flash",
        "other/m3",
        "cloudflare/auto",
        "",
        "/",
    ],
)
def test_an_unknown_model_is_a_guess_of_128_000(model: str) -> None:
    found = profile_of(model)
    assert (found.context_window, found.max_output, found.is_listed) == (128_000, None, False)


@pytest.mark.parametrize("model", ["anthropic/claude-next", "anthropic/claude-opus-9", "claude-mythos-5"])
def test_a_new_model_of_a_known_family_has_the_smallest_values(model: str) -> None:
    found = profile_of(model)
    assert (found.context_window, found.is_listed, found.structured_output) == (200_000, True, False)


@pytest.mark.parametrize("model", ["@cf/new/model", "@hf/new/model", "workers-ai/@cf/new/model", "@cf/openai/gpt-4o"])
def test_an_unknown_workers_ai_model_is_a_guess_of_8_192(model: str) -> None:
    found = profile_of(model)
    assert (found.context_window, found.is_listed) == (8_192, False)


def test_the_window_depends_on_the_host() -> None:
    assert profile_of("groq/openai/gpt-oss-20b").context_window > profile_of("@cf/openai/gpt-oss-20b").context_window
    assert profile_of("z-ai/glm-5.2").context_window > profile_of("@cf/zai-org/glm-5.2").context_window


def test_a_guess_promises_no_schema_but_does_not_forbid_tools() -> None:
    for model in ("some/model", "@cf/some/model"):
        assert profile_of(model).tools
        assert not profile_of(model).structured_output


def test_max_input_can_be_less_than_the_window() -> None:
    assert profile_of("openai/gpt-5").max_input == 272_000
    assert profile_of("openai/gpt-5.6-luna").max_input == 922_000
    assert profile_of("openai/gpt-4o").max_input == profile_of("openai/gpt-4o").context_window


def test_capabilities() -> None:
    assert not profile_of("anthropic/claude-opus-5.5").tool_choice  # §1.4
    assert profile_of("anthropic/claude-opus-5.5").tools
    assert not profile_of("openai/gpt-4o").reasoning
    assert profile_of("openai/o3").reasoning
    assert not profile_of("openai/o3-mini").inputs - {"text"}
    assert {"audio", "video", "pdf"} <= profile_of("google/gemini-3.6-flash").inputs
    assert not profile_of("perplexity/sonar").tools
    assert not profile_of("@cf/qwen/qwq-32b").tools


@pytest.mark.parametrize("listed", [one for one in catalogue.WORKERS_AI if "context_window" in one.properties])
def test_profiles_agree_with_the_simulators_catalogue(listed: catalogue.Listed) -> None:
    found = profile_of(listed.name)
    assert found.is_listed
    assert found.context_window == int(listed.properties["context_window"])
    assert found.tools or "function_calling" not in listed.properties


@pytest.mark.parametrize("model", catalogue.THIRD_PARTY)
def test_every_model_of_the_simulator_is_known(model: str) -> None:
    assert profile_of(model).is_listed


def test_no_image_urls_where_routes_send_data_urls_only() -> None:
    assert row_of("@cf/any/model").quirks.data_urls_only
    assert not [row.models for row in WORKERS_AI if "image_url" in row.inputs]


def test_no_tool_choice_where_routes_refuse_it() -> None:
    model = "@cf/mistralai/mistral-small-3.1-24b-instruct"
    assert row_of(model).quirks.no_forced_tool
    assert not profile_of(model).tool_choice
    assert profile_of(model).tools
