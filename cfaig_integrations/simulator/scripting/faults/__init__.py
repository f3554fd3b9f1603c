"""The failures that can be simulated, in one table per layer; each row names its evidence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from cfaig_integrations.simulator.scripting.faults.effects import DELAYS, EFFECT_FAULTS
from cfaig_integrations.simulator.scripting.faults.fault import Fault
from cfaig_integrations.simulator.scripting.faults.gateway import GATEWAY
from cfaig_integrations.simulator.scripting.faults.vendors import SHAPED, VENDORS
from cfaig_integrations.simulator.scripting.faults.workers_ai import WORKERS_AI

__all__ = ["FAULTS", "Fault", "find_fault"]

_ALL = (*WORKERS_AI, *GATEWAY, *VENDORS, *SHAPED, *DELAYS, *EFFECT_FAULTS)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
"""All faults by name."""
if len(FAULTS) != len(_ALL):
    raise ValueError("two faults have the same name")


def find_fault(name: str) -> Fault:
    """The fault of that name."""
    fault = FAULTS.get(name)
    if fault is None:
        similar = difflib.get_close_matches(name, FAULTS, n=3)
        raise ValueError(f"no fault is named {name!r}" + (f"; did you mean {' or '.join(similar)}?" if similar else ""))
    return fault
