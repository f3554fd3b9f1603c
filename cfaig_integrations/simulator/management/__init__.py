"""All other paths: Cloudflare's management API, and `/_simulator/`."""

from cfaig_integrations.simulator.management import account, gateways, logs
from cfaig_integrations.simulator.management.common import MANAGEMENT

__all__ = ["MANAGEMENT", "account", "gateways", "logs"]
