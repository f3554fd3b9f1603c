"""The live tests work: the simulator answers them as far as it can. By default they are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cfaig_integrations.simulator import Simulator
from tests.live import test_questions
from tests.live.conftest import Account, is_enabled

QUESTIONS: dict[str, Callable[[Account], None]] = {
    name: value for name, value in vars(test_questions).items() if name.startswith("test_")
}
TOLERATED = frozenset({"test_an_item_that_was_not_stored_is_not_found_by_its_id"})
"""Questions that the simulator answers otherwise than the package assumes of Cloudflare."""
OPT_IN = {"CFAIG_LIVE": "1", "CLOUDFLARE_API_TOKEN": "token", "CLOUDFLARE_ACCOUNT_ID": "account"}


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with Simulator() as simulator:
        account = Account(simulator.environment)
        yield account
        account.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_simulator_answers(account: Account, name: str) -> None:
    try:
        QUESTIONS[name](account)
    except pytest.skip.Exception as skipped:
        pytest.fail(str(skipped))
    except AssertionError:
        assert name in TOLERATED
        return
    assert name not in TOLERATED


@pytest.mark.parametrize("missing", OPT_IN)
def test_each_part_of_the_opt_in_is_needed(missing: str) -> None:
    assert is_enabled(OPT_IN)
    assert not is_enabled({name: value for name, value in OPT_IN.items() if name != missing})
