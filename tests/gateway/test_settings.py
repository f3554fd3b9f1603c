"""Settings: precedence, invalid values, and hidden tokens."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.addresses import DEFAULT_BASE_URL
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.settings import _VARIABLES, Secret, Settings, resolve

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


def plain(resolved: Settings) -> str:
    assert isinstance(resolved.api_token, Secret)
    return resolved.api_token.get_secret_value()


def test_the_documented_environment_is_enough() -> None:
    resolved = resolve_in(ENV)
    assert (resolved.account_id, plain(resolved)) == ("acc0", TOKEN)
    assert (resolved.gateway_id, resolved.base_url, resolved.legacy) == ("default", DEFAULT_BASE_URL, False)


@pytest.mark.parametrize(
    ("parameter", "names"),
    [
        ("account_id", ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID")),
        ("gateway_id", ("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID")),
        ("api_token", ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN")),
    ],
)
def test_arguments_override_variables_and_the_first_set_variable_counts(parameter: str, names: tuple[str, ...]) -> None:
    def value(variables: dict[str, str], **arguments: str) -> object:
        resolved = resolve_in({**ENV, **variables}, **arguments)  # type: ignore[arg-type]
        return plain(resolved) if parameter == "api_token" else getattr(resolved, parameter)

    filled = {name: f"from-{name}" for name in names}
    assert value(filled, **{parameter: "mine"}) == "mine"
    for name in names:
        assert value(filled) == f"from-{name}"
        filled[name] = " "  # filled with nothing


def test_base_url_of_the_environment_loses_its_slash() -> None:
    env = ENV | {"CLOUDFLARE_API_BASE_URL": "http://127.0.0.1:9/client/v4/"}
    assert Connection(settings=resolve_in(env)).url("/ai/run") == "http://127.0.0.1:9/client/v4/accounts/acc0/ai/run"
    assert resolve_in(env, base_url="https://example.org").base_url == "https://example.org"


@pytest.mark.parametrize("name", ["BASE_URL", "AI_GATEWAY", "ACCOUNT_ID", "API_TOKEN"])
def test_generic_variable_names_are_not_read(name: str) -> None:
    assert resolve_in(ENV | {name: "https://elsewhere.example"}) == resolve_in(ENV)


def test_the_gateway_is_bypassed_only_by_an_explicit_none() -> None:
    assert settings(gateway_id=None).gateway_id is None
    assert resolve_in(ENV | {"CLOUDFLARE_AI_GATEWAY_ID": "prod"}, gateway_id=None).gateway_id is None


@pytest.mark.parametrize(
    ("missing", "parameter", "variable"),
    [
        ("CLOUDFLARE_API_TOKEN", "api_token", "CLOUDFLARE_API_TOKEN"),
        ("CLOUDFLARE_ACCOUNT_ID", "account_id", "CLOUDFLARE_ACCOUNT_ID"),
    ],
)
def test_a_missing_value_names_argument_and_variable(missing: str, parameter: str, variable: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_in({name: value for name, value in ENV.items() if name != missing})
    assert caught.value.field == parameter
    assert f"{parameter}=" in str(caught.value)
    assert variable in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
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
        ("base_url", f"{DEFAULT_BASE_URL}/accounts/acc0/ai/v2"),
        ("base_url", f"{DEFAULT_BASE_URL}/accounts"),
        ("base_url", "https://api.openai.com/v1"),
        ("base_url", "https://api.openai.com.:443/v1"),
        ("base_url", "https://gateway.ai.cloudflare.com/v1/acc0/gw/compat/chat/completions"),
        ("base_url", "https://gateway.ai.cloudflare.com/v1/acc0/gw/openai"),
    ],
)
def test_invalid_values_are_rejected(parameter: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**{parameter: value})  # type: ignore[arg-type]
    assert caught.value.field == parameter
    assert caught.value.remedy
    if parameter == "api_token" and value:
        assert value.strip() not in str(caught.value)


@pytest.mark.parametrize("path", ["/accounts/theirs", "/accounts/theirs/ai", "/accounts/theirs/ai/v1/"])
def test_a_rest_url_may_end_where_openais_client_needs_it(path: str) -> None:
    resolved = settings(base_url=DEFAULT_BASE_URL + path, account_id=None)
    assert (resolved.base_url, resolved.account_id, resolved.legacy) == (DEFAULT_BASE_URL, "theirs", False)
    with pytest.raises(ConfigError, match="account_id differs"):
        settings(base_url=DEFAULT_BASE_URL + path, account_id="acc0")


def test_a_url_of_the_formats_without_an_account_is_taken() -> None:
    assert settings(base_url="https://example.org/client/v4/ai/v1").base_url == "https://example.org/client/v4"


@pytest.mark.parametrize(
    ("path", "model"),
    [("openai", "openai/..."), ("workers-ai/v1", "@cf/..."), ("grok", "xai/..."), ("compat/v1", "author/...")],
)
def test_a_providers_path_says_what_to_write_instead(path: str, model: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(base_url=f"https://gateway.ai.cloudflare.com/v1/acc0/gw/{path}")
    assert f"account_id='acc0', gateway_id='gw', model='{model}'" in str(caught.value)


@pytest.mark.parametrize("value", ["", "acc/1", "cfut_0123456789abcdef"])
def test_each_invalid_id_raises_an_error_of_its_own(value: str) -> None:
    errors: list[ConfigError] = []
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            settings(account_id=value)
        errors.append(caught.value)
    assert errors[0] is not errors[1]  # else its traceback would grow, and keep the variables of all callers alive


def test_the_error_names_the_environment_variable() -> None:
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
def test_a_legacy_url_is_completed(base: str) -> None:
    resolved = settings(base_url=base)
    assert resolved.legacy
    assert Connection(settings=resolved).url("/chat/completions") == (
        "https://gateway.ai.cloudflare.com/v1/acc0/default/compat/chat/completions"
    )


@pytest.mark.parametrize(
    "host", ["Gateway.AI.Cloudflare.com", "gateway.ai.cloudflare.com:443", "gateway.ai.cloudflare.com."]
)
def test_the_legacy_host_is_recognized_however_it_is_spelled(host: str) -> None:
    resolved = settings(base_url=f"https://{host}/v1/acc0")
    assert (resolved.legacy, resolved.custom) == (True, False)
    assert resolved.base_url.lower() == f"https://{host}/v1/acc0/default/compat".lower()


@pytest.mark.parametrize(
    ("base", "completed"),
    [
        ("http://localhost:8/v1/compat", "http://localhost:8/v1/acc0/gw/compat"),
        ("http://localhost:8/proxy/v1/acc0/gw/compat", "http://localhost:8/proxy/v1/acc0/gw/compat"),
    ],
)
def test_a_path_with_v1_that_ends_in_compat_is_legacy(base: str, completed: str) -> None:
    assert settings(base_url=base, gateway_id="gw").base_url == completed


def test_account_and_gateway_of_a_legacy_url_override_the_environment() -> None:
    url = "https://gateway.ai.cloudflare.com/v1/other/theirs/compat"
    resolved = resolve_in(ENV | {"CLOUDFLARE_AI_GATEWAY_ID": "env"}, base_url=url)
    assert (resolved.account_id, resolved.gateway_id, resolved.base_url) == ("other", "theirs", url)


@pytest.mark.parametrize("arguments", [{"account_id": "acc1"}, {"gateway_id": "gw1"}, {"gateway_id": None}])
def test_arguments_must_not_contradict_a_legacy_url(arguments: dict[str, str | None]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(base_url="https://gateway.ai.cloudflare.com/v1/acc0/gw0/compat", **arguments)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(arguments))


def test_the_token_is_sent_in_one_header_only() -> None:
    """Both together make the legacy host forward the token to the provider (facts §2.1)."""
    assert settings().auth_header("t0") == {"authorization": "Bearer t0"}
    legacy = settings(base_url="https://gateway.ai.cloudflare.com/v1")
    assert legacy.auth_header("t0") == {"cf-aig-authorization": "Bearer t0"}


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nX-Evil: 1", None, 3])
def test_the_token_of_a_function_is_validated(bad: object) -> None:
    with pytest.raises(ConfigError):
        settings().auth_header(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["sk-ant-api03-hush", "sk-or-v1-hush", "sk-proj-hush", "sk-svcacct-hush"])
def test_a_providers_key_is_not_sent_as_the_token(key: str) -> None:
    with pytest.raises(ConfigError, match="provider's key") as caught:
        resolve_in({**ENV, "CLOUDFLARE_API_TOKEN": key})
    assert caught.value.field == "CLOUDFLARE_API_TOKEN"
    with pytest.raises(ConfigError, match="provider's key") as caught:
        settings(api_token=key)
    assert (caught.value.field, "hush" in str(caught.value)) == ("api_token", False)


def test_types_of_tokens() -> None:
    async def later() -> str:
        return TOKEN

    assert plain(settings(api_token="other")) == "other"
    assert plain(settings(api_token=SecretStr("other"))) == "other"
    now = lambda: TOKEN  # noqa: E731
    assert settings(api_token=now).api_token is now
    assert settings(api_token=later).api_token is later
    with pytest.raises(ConfigError, match="int"):
        settings(api_token=3)  # type: ignore[arg-type]


def test_the_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = settings()
    assert TOKEN not in repr(resolved)
    assert TOKEN not in f"{resolved.api_token} {resolved.api_token!r}"
    assert TOKEN.encode() not in pickle.dumps(resolved)
    assert plain(copy.deepcopy(resolved)) == plain(copy.copy(resolved)) == TOKEN
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "of-the-reader")
    assert plain(pickle.loads(pickle.dumps(resolved))) == "of-the-reader"


def test_an_unpickled_token_is_missing_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    read = pickle.loads(pickle.dumps(settings()))
    with pytest.raises(ConfigError, match="CLOUDFLARE_API_TOKEN"):
        read.auth_header(plain(read))


CUSTOM = ("https://ai.example.com/compat", "https://ai.example.com/compat/", "http://127.0.0.1:8/llm/compat")


@pytest.mark.parametrize("base", CUSTOM)
def test_a_custom_domain_needs_only_a_token(base: str) -> None:
    """facts §14.6."""
    resolved = resolve_in({}, base_url=base, api_token="access")
    assert Connection(settings=resolved).url("/chat/completions") == f"{base.rstrip('/')}/chat/completions"
    assert resolved.auth_header("access") == {"authorization": "Bearer access"}
    assert (resolved.legacy, resolved.custom, resolved.account_id, resolved.gateway_id) == (True, True, "", None)
    filled = resolve_in({**ENV, "CLOUDFLARE_AI_GATEWAY_ID": "env"}, base_url=base)
    assert (Connection(settings=filled).url("/x"), filled.gateway_id) == (Connection(settings=resolved).url("/x"), None)
    with pytest.raises(ConfigError, match=r"api_token.*Access token"):
        resolve_in({}, base_url=base)
    with pytest.raises(ConfigError, match="Access token"):
        resolve_in({}, base_url=base, provider_key=True)


def test_account_and_gateway_of_a_custom_domain_are_validated() -> None:
    resolved = settings(base_url=CUSTOM[0], account_id="acc1", gateway_id="gw1")
    assert (resolved.account_id, resolved.gateway_id, resolved.base_url) == ("acc1", "gw1", CUSTOM[0])
    for arguments in ({"account_id": "a b"}, {"gateway_id": "a b"}):
        with pytest.raises(ConfigError):
            settings(base_url=CUSTOM[0], **arguments)


LEGACY = "https://gateway.ai.cloudflare.com/v1/acc0/gw/compat"


def test_a_gateway_without_authentication_needs_a_provider_key_and_no_token() -> None:
    """facts §14.6."""
    without_token = {name: value for name, value in ENV.items() if "TOKEN" not in name}
    assert resolve_in(without_token, base_url=LEGACY, provider_key=True).api_token is None
    assert resolve_in(ENV, base_url=LEGACY, provider_key=True, api_token=None).api_token is None
    assert plain(resolve_in(ENV, base_url=LEGACY, provider_key=True)) == TOKEN
    assert plain(resolve_in(ENV, base_url=LEGACY, api_token=None)) == TOKEN
    with pytest.raises(ConfigError, match=r"extra_headers=.*Authorization") as caught:
        resolve_in(without_token, base_url=LEGACY)
    assert caught.value.field == "api_token"


def test_the_rest_api_always_needs_a_token() -> None:
    assert plain(settings(api_token=None, provider_key=True)) == TOKEN
    with pytest.raises(ConfigError, match="api_token"):
        resolve_in({}, account_id="acc0", provider_key=True)


def test_equal_settings_have_equal_hashes() -> None:
    assert len({settings(), settings(), settings(api_token="other")}) == 2
