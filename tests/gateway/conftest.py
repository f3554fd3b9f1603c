"""The formats that a test learns of models are forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cfaig_integrations.gateway.models import routes


@pytest.fixture(autouse=True)
def _forget_formats() -> Iterator[None]:
    routes.forget()
    yield
    routes.forget()
