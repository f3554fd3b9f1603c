"""Collects recorded exchanges from PyPI: `python -m tests.recordings`.

Downloads source distributions that contain recordings (vcr cassettes) into `.recordings/sdists/`, and writes the
exchanges in the four formats as JSON Lines into `.recordings/`. Nothing is downloaded twice. pip builds the metadata of
a source distribution when it downloads it, which takes a minute or two.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.recordings import COLLECTED

PACKAGES = (
    "langchain-openai",
    "langchain-anthropic",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-anthropic",
    "opentelemetry-instrumentation-openai-v2",
)
PATHS = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/v1/messages": "messages",
    "/embeddings": "embeddings",
}
SHAPES = {
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "response": "responses",
    "response.created": "responses",
    "message": "messages",
    "message_start": "messages",
    "embedding": "embeddings",
}
"""The `object` or `type` of a response or of a stream's first event: some cassettes hide the URL."""
HEADERS = ("content-type", "retry-after")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Json = dict[str, Any]


def download(package: str, folder: Path) -> Path:
    """The source distribution of a package."""
    found = sorted(folder.glob(f"{package.replace('-', '_')}-[0-9]*.tar.gz"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--no-binary", ":all:", "--dest", str(folder), package], check=True)
        found = sorted(folder.glob(f"{package.replace('-', '_')}-[0-9]*.tar.gz"))
    return found[-1]


def cassettes(archive: Path) -> Iterator[tuple[str, Any]]:
    """Name and content of each vcr cassette in an archive."""
    with tarfile.open(archive) as files:
        for member in files:
            if "cassettes/" in member.name and member.name.endswith((".yaml", ".yaml.gz")):
                opened = files.extractfile(member)
                assert opened is not None
                data = opened.read()
                text = gzip.decompress(data) if member.name.endswith(".gz") else data
                yield member.name, yaml.load(text, LOADER)


def exchanges(cassette: Any) -> Iterator[tuple[Json, Json]]:
    """Request and response of each exchange: vcr writes pairs, langchain-tests two lists."""
    if "interactions" in cassette:
        yield from ((each["request"], each["response"]) for each in cassette["interactions"])
    else:
        yield from zip(cassette["requests"], cassette["responses"], strict=True)


def text_of(body: str | bytes | None) -> str:
    """A body as text; cassettes keep compressed bodies as they were sent."""
    if not isinstance(body, bytes):
        return body or ""
    return (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode(errors="replace")


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def kind_of(path: str, body: Any) -> str | None:
    """The format of a response: by the path that was asked, else by what it says it is."""
    for ending, kind in PATHS.items():
        if path.endswith(ending):
            return kind
    if isinstance(body, dict) and body.get("object") == "list" and body.get("data"):
        body = body["data"][0]
    return SHAPES.get(str(body.get("object") or body.get("type"))) if isinstance(body, dict) else None


def record(package: str, name: str, request: Json, response: Json) -> tuple[str, Json] | None:
    """Kind and line of an exchange; None for one in another format."""
    sent = parsed(text_of(request["body"]))
    text = text_of(response["body"].get("string"))
    data = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    stream = text.startswith(("data:", "event:", ":"))
    address = urlsplit(request["uri"])
    kind = kind_of(address.path, parsed(data[0]) if stream and data else parsed(text))
    if kind is None or not isinstance(sent, dict) or not text or (not stream and parsed(text) is None):
        return None
    headers = {key.lower(): values for key, values in response["headers"].items()}
    return kind, {
        "id": sha256(f"{kind} {json.dumps(sent, sort_keys=True)} {text}".encode()).hexdigest()[:12],
        "source_repo": package,
        "source_path": name,
        "host": address.hostname or "",
        "status": response["status"]["code"],
        "stream": stream,
        "request_body": sent,
        "response_headers": {key: headers[key][0] for key in HEADERS if key in headers},
        "response_body": text,
    }


def collect(folder: Path) -> dict[str, int]:
    """Writes the corpus; the number of recordings of each kind."""
    (folder / "sdists").mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Json]] = {kind: {} for kind in PATHS.values()}
    for package in PACKAGES:
        for name, cassette in cassettes(download(package, folder / "sdists")):
            for request, response in exchanges(cassette):
                made = record(package, name, request, response)
                if made is not None:
                    found[made[0]].setdefault(made[1]["id"], made[1])
    for kind, records in found.items():
        lines = "".join(json.dumps(each) + "\n" for each in records.values())
        (folder / f"{kind}.jsonl").write_text(lines, encoding="utf-8")
    return {kind: len(records) for kind, records in found.items()}


if __name__ == "__main__":
    for kind, count in collect(COLLECTED).items():
        sys.stdout.write(f"{COLLECTED.name}/{kind}.jsonl: {count} recordings\n")
