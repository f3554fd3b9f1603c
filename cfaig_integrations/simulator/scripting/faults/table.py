"""Every failure that the simulator can play on request, by name; the source stands in each row.

Knows not how a failure is put on the wire: `bodies` words it, `effects` plays it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cfaig_integrations.simulator.scripting.faults.effects import EFFECTS
from cfaig_integrations.simulator.scripting.faults.fault import Fault
from cfaig_integrations.simulator.scripting.faults.gateway import GATEWAY
from cfaig_integrations.simulator.scripting.faults.vendors import SHAPED, VENDORS
from cfaig_integrations.simulator.scripting.faults.workers_ai import WORKERS_AI


def _named(rows: Iterable[Fault]) -> dict[str, Fault]:
    table: dict[str, Fault] = {}
    for fault in rows:
        if fault.name in table:
            raise ValueError(f"two faults are named {fault.name}")
        table[fault.name] = fault
    return table


FAULTS: Mapping[str, Fault] = MappingProxyType(_named((*WORKERS_AI, *GATEWAY, *VENDORS, *SHAPED, *EFFECTS)))
"""All faults by name."""


def fault_named(name: str) -> Fault:
    """Look a fault up.

    Raises:
        ValueError: There is none of that name; the message suggests the nearest.
    """
    found = FAULTS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, FAULTS, n=3)
        raise ValueError(f"no fault is named {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    return found
