"""Settings: who wins, what is refused, and that the token never shows."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.settings import _VARIABLES, DEFAULT_BASE_URL, Secret, Settings, resolve

TOKEN = "tok-3nVerySecret"
ENV = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": "acc0"}

VARIABLES = [name for names in _VARIABLES.values() for name in names]


def resolve_in(environment: Mapping[str, str], **arguments: Any) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        return resolve(**arguments)


settings = partial(resolve_in, ENV)


def plain(made: Settings) -> str:
    assert isinstance(made.api_token, Secret)
    return made.api_token.get_secret_value()


def test_the_documented_environment_is_enough() -> None:
    made = resolve_in(ENV)
    assert (made.account_id, plain(made)) == ("acc0", TOKEN)
    assert (made.gateway_id, made.base_url, made.legacy) == ("default", DEFAULT_BASE_URL, False)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("account_id", ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID")),
        ("gateway_id", ("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID")),
        ("api_token", ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN")),
    ],
)
def test_the_first_name_that_is_filled_wins_and_a_word_wins_over_all(word: str, names: tuple[str, ...]) -> None:
    def value(environ: dict[str, str], **words: str) -> object:
        made = resolve_in({**ENV, **environ}, **words)  # type: ignore[arg-type]
        return plain(made) if word == "api_token" else getattr(made, word)

    filled = {name: f"from-{name}" for name in names}
    assert value(filled, **{word: "mine"}) == "mine"
    for name in names:
        assert value(filled) == f"from-{name}"
        filled[name] = " "  # filled with nothing


def test_base_url_comes_from_the_environment_and_loses_its_slash() -> None:
    env = ENV | {"CLOUDFLARE_API_BASE_URL": "http://127.0.0.1:9/client/v4/"}
    assert Connection(settings=resolve_in(env)).url("/ai/run") == "http://127.0.0.1:9/client/v4/accounts/acc0/ai/run"
    assert resolve_in(env, base_url="https://example.org").base_url == "https://example.org"


@pytest.mark.parametrize("name", ["BASE_URL", "AI_GATEWAY", "ACCOUNT_ID", "API_TOKEN"])
def test_names_that_others_may_use_are_not_read(name: str) -> None:
    assert resolve_in(ENV | {name: "https://elsewhere.example"}) == resolve_in(ENV)


def test_no_gateway_has_to_be_asked_for() -> None:
    assert settings(gateway_id=None).gateway_id is None
    assert resolve_in(ENV | {"CLOUDFLARE_AI_GATEWAY_ID": "prod"}, gateway_id=None).gateway_id is None


@pytest.mark.parametrize(
    ("missing", "word", "variable"),
    [
        ("CLOUDFLARE_API_TOKEN", "api_token", "CLOUDFLARE_API_TOKEN"),
        ("CLOUDFLARE_ACCOUNT_ID", "account_id", "CLOUDFLARE_ACCOUNT_ID"),
    ],
)
def test_what_is_missing_is_named_with_its_word_and_its_variable(missing: str, word: str, variable: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_in({name: value for name, value in ENV.items() if name != missing})
    assert caught.value.field == word
    assert f"{word}=" in str(caught.value)
    assert variable in str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("account_id", ""),
        ("account_id", "a b"),
        ("account_id", "a/../b"),
        ("account_id", "ä"),
        ("gateway_id", ""),
        ("gateway_id", "x" * 65),
        ("gateway_id", "two words"),
        ("gateway_id", "a\r\nb"),
        ("api_token", ""),
        ("api_token", "Bearer abc"),
        ("api_token", "abc\n"),
        ("api_token", "schlüssel"),
        ("base_url", "api.cloudflare.com"),
        ("base_url", "ftp://api.cloudflare.com"),
        ("base_url", "https://"),
        ("base_url", "https://a b"),
        ("base_url", "https://a\nb"),
        ("base_url", "https://a?x=1"),
        ("base_url", "https://user:pw@a"),
        ("base_url", f"{DEFAULT_BASE_URL}/accounts/acc0/ai/v1"),
        ("base_url", "https://gateway.ai.cloudflare.com/v1/acc0/gw/openai"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_name(word: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**{word: value})  # type: ignore[arg-type]
    assert caught.value.field == word
    assert caught.value.remedy
    if word == "api_token" and value:
        assert value.strip() not in str(caught.value)


def test_a_bad_variable_is_named_by_its_own_name() -> None:
    with pytest.raises(ConfigError, match="CF_ACCOUNT_ID") as caught:
        resolve_in({"CLOUDFLARE_API_TOKEN": TOKEN, "CF_ACCOUNT_ID": "my account"})
    assert caught.value.field == "CF_ACCOUNT_ID"


@pytest.mark.parametrize(
    "base",
    [
        "https://gateway.ai.cloudflare.com",
        "https://gateway.ai.cloudflare.com/v1",
        "https://gateway.ai.cloudflare.com/v1/acc0",
        "https://gateway.ai.cloudflare.com/v1/acc0/default",
        "https://gateway.ai.cloudflare.com/v1/acc0/default/compat",
        "https://gateway.ai.cloudflare.com/v1/acc0/default/compat/",
    ],
)
def test_the_legacy_address_is_completed_from_wherever_it_stops(base: str) -> None:
    made = settings(base_url=base)
    assert made.legacy
    assert Connection(settings=made).url("/chat/completions") == (
        "https://gateway.ai.cloudflare.com/v1/acc0/default/compat/chat/completions"
    )


@pytest.mark.parametrize(
    ("base", "completed"),
    [
        ("http://localhost:8/v1/compat", "http://localhost:8/v1/acc0/gw/compat"),
        ("http://localhost:8/proxy/v1/acc0/gw/compat", "http://localhost:8/proxy/v1/acc0/gw/compat"),
    ],
)
def test_a_path_with_v1_that_ends_in_compat_is_a_legacy_one(base: str, completed: str) -> None:
    assert settings(base_url=base, gateway_id="gw").base_url == completed


def test_a_legacy_address_says_account_and_gateway_louder_than_the_environment() -> None:
    url = "https://gateway.ai.cloudflare.com/v1/other/theirs/compat"
    made = resolve_in(ENV | {"CLOUDFLARE_AI_GATEWAY_ID": "env"}, base_url=url)
    assert (made.account_id, made.gateway_id, made.base_url) == ("other", "theirs", url)


@pytest.mark.parametrize("words", [{"account_id": "acc1"}, {"gateway_id": "gw1"}, {"gateway_id": None}])
def test_a_legacy_address_must_not_contradict_the_words(words: dict[str, str | None]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(base_url="https://gateway.ai.cloudflare.com/v1/acc0/gw0/compat", **words)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(words))


def test_the_token_goes_into_one_header_and_never_into_both() -> None:
    """Both together make the legacy host forward the token to the provider (facts §2.1)."""
    assert settings().auth_header("t0") == {"authorization": "Bearer t0"}
    legacy = settings(base_url="https://gateway.ai.cloudflare.com/v1")
    assert legacy.auth_header("t0") == {"cf-aig-authorization": "Bearer t0"}


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nX-Evil: 1", None, 3])
def test_what_a_callable_gives_is_checked_before_it_is_sent(bad: object) -> None:
    with pytest.raises(ConfigError):
        settings().auth_header(bad)  # type: ignore[arg-type]


def test_tokens_come_as_text_secret_or_callable() -> None:
    async def later() -> str:
        return TOKEN

    assert plain(settings(api_token="other")) == "other"
    assert plain(settings(api_token=SecretStr("other"))) == "other"
    now = lambda: TOKEN  # noqa: E731
    assert settings(api_token=now).api_token is now
    assert settings(api_token=later).api_token is later
    with pytest.raises(ConfigError, match="int"):
        settings(api_token=3)  # type: ignore[arg-type]


def test_the_token_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings()
    assert TOKEN not in repr(made)
    assert TOKEN not in f"{made.api_token} {made.api_token!r}"
    assert TOKEN.encode() not in pickle.dumps(made)
    assert plain(copy.deepcopy(made)) == plain(copy.copy(made)) == TOKEN
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "of-the-reader")
    assert plain(pickle.loads(pickle.dumps(made))) == "of-the-reader"


def test_a_pickle_read_where_there_is_no_token_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    read = pickle.loads(pickle.dumps(settings()))
    with pytest.raises(ConfigError, match="CLOUDFLARE_API_TOKEN"):
        read.auth_header(plain(read))


CUSTOM = ("https://ai.example.com/compat", "https://ai.example.com/compat/", "http://127.0.0.1:8/llm/compat")


@pytest.mark.parametrize("base", CUSTOM)
def test_a_custom_domain_needs_a_token_and_nothing_else(base: str) -> None:
    """facts §14.6."""
    made = resolve_in({}, base_url=base, api_token="access")
    assert Connection(settings=made).url("/chat/completions") == f"{base.rstrip('/')}/chat/completions"
    assert made.auth_header("access") == {"authorization": "Bearer access"}
    assert (made.legacy, made.custom, made.account_id, made.gateway_id) == (True, True, "", None)
    filled = resolve_in({**ENV, "CLOUDFLARE_AI_GATEWAY_ID": "env"}, base_url=base)
    assert (Connection(settings=filled).url("/x"), filled.gateway_id) == (Connection(settings=made).url("/x"), None)
    with pytest.raises(ConfigError, match=r"api_token.*Access token"):
        resolve_in({}, base_url=base)
    with pytest.raises(ConfigError, match="Access token"):
        resolve_in({}, base_url=base, provider_key=True)


def test_an_account_or_gateway_that_is_named_beside_a_custom_domain_is_checked_and_not_sent() -> None:
    made = settings(base_url=CUSTOM[0], account_id="acc1", gateway_id="gw1")
    assert (made.account_id, made.gateway_id, made.base_url) == ("acc1", "gw1", CUSTOM[0])
    for words in ({"account_id": "a b"}, {"gateway_id": "a b"}):
        with pytest.raises(ConfigError):
            settings(base_url=CUSTOM[0], **words)


LEGACY = "https://gateway.ai.cloudflare.com/v1/acc0/gw/compat"


def test_a_gateway_without_authentication_needs_a_providers_key_and_no_token() -> None:
    """facts §14.6."""
    nobody = {name: value for name, value in ENV.items() if "TOKEN" not in name}
    assert resolve_in(nobody, base_url=LEGACY, provider_key=True).api_token is None
    assert resolve_in(ENV, base_url=LEGACY, provider_key=True, api_token=None).api_token is None
    assert plain(resolve_in(ENV, base_url=LEGACY, provider_key=True)) == TOKEN
    assert plain(resolve_in(ENV, base_url=LEGACY, api_token=None)) == TOKEN
    with pytest.raises(ConfigError, match=r"extra_headers=.*Authorization") as caught:
        resolve_in(nobody, base_url=LEGACY)
    assert caught.value.field == "api_token"


def test_the_rest_api_always_needs_a_token() -> None:
    assert plain(settings(api_token=None, provider_key=True)) == TOKEN
    with pytest.raises(ConfigError, match="api_token"):
        resolve_in({}, account_id="acc0", provider_key=True)


def test_equal_settings_are_one_key() -> None:
    assert len({settings(), settings(), settings(api_token="other")}) == 2
