"""Vercel's AI SDK and Cloudflare's providers for it, from npm, against the local gateway.

They run where node and a folder with the packages are: `npm install ai @ai-sdk/openai @ai-sdk/anthropic
workers-ai-provider ai-gateway-provider` in a folder, and the folder in `CFAIG_NPM_CLIENTS`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cfaig_integrations.simulator import Simulator

SCRIPT = Path(__file__).with_name("npm") / "clients.mjs"


def test_npm_clients(sim: Simulator) -> None:
    node, folder = shutil.which("node"), os.environ.get("CFAIG_NPM_CLIENTS")
    if node is None or not folder:
        pytest.skip("node and npm packages are absent: set CFAIG_NPM_CLIENTS to a folder that has them")
    script = shutil.copy(SCRIPT, folder)  # imports are resolved from the script's folder
    environment = {**os.environ, "SIM_URL": sim.url, "SIM_ACCOUNT": sim.account_id, "SIM_TOKEN": sim.api_token}
    ran = subprocess.run([node, script], env=environment, capture_output=True, text=True, timeout=300, check=False)
    checks = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(checks) == 39, ran.stderr
    assert [check for check in checks if not check["ok"]] == []
    assert sim.queued == (0, 0), "every fault was used up by a fallback"
    fallen_back = [entry for entry in sim.logs() if entry["step"] == 1]
    assert len(fallen_back) == 3
