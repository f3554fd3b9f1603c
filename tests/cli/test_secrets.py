"""No command prints the token, whatever the server answers, as text or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import TOKEN, Response, environment, raw_server, run

ECHO: dict[str, Any] = {
    "success": False,
    "errors": [{"code": 1000, "message": f"Who is Bearer {TOKEN}?"}],
    "request": {"headers": {"authorization": f"Bearer {TOKEN}"}},
}
RESPONSES = {
    "refused": Response(ECHO, 401, headers={"x-seen": f"Bearer {TOKEN}"}),
    "refused in 200": Response(ECHO),
    "page": Response(f"<html><title>{TOKEN}</title></html>", 502, "text/html"),
    "redirect": Response({}, 302, headers={"location": f"https://x.example/?token={TOKEN}"}),
}
COMMANDS = (
    *("chat hi", "chat hi --json", "embed IN --output OUT", "models", "models --json"),
    *("logs", "logs --json", "doctor", "doctor --json"),
)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_the_token(command: str, response: str, tmp_path: Path) -> None:
    files = {"IN": tmp_path / "texts.txt", "OUT": tmp_path / "vectors.jsonl"}
    files["IN"].write_text("one\ntwo\n", encoding="utf-8")
    with raw_server(dict.fromkeys(("GET ", "POST ", "PATCH "), RESPONSES[response])) as server:
        outcome = run(*(str(files.get(each, each)) for each in command.split()), env=environment(server))
    assert outcome.code
    assert server.requests
    assert outcome.stdout + outcome.stderr
    assert TOKEN not in outcome.stdout + outcome.stderr
    assert not [file for file in tmp_path.iterdir() if TOKEN in file.read_text(encoding="utf-8")]
