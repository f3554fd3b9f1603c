"""The failures that can be played: rows by who fails, and one table of them all.

Knows no request.
"""

from cfaig_integrations.simulator.scripting.faults.fault import Fault
from cfaig_integrations.simulator.scripting.faults.table import FAULTS, fault_named

__all__ = ["FAULTS", "Fault", "fault_named"]
