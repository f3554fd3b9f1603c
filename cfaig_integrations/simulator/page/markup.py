"""Builds HTML from nested calls, and writes times, money, durations and names; every text and value is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

WIRES = {
    "chat_completions": "Chat Completions", "responses": "Responses", "messages": "Messages", "run": "Run",
    "embeddings": "Embeddings", "universal": "Universal", "websearch": "Web search",
}  # fmt: skip
"""Names of the wire formats by `request_type`."""

_LONGEST_ID = 8
_FRAMEWORKS = (
    (r"\blangchain\b", "LangChain"),
    (r"\bllama[_-]?index\b", "LlamaIndex"),
    (r"^cfaig-integrations/", "cfaig"),
    (r"workers-ai-provider|ai-gateway-provider", "Cloudflare AI provider"),
    (r"\bai-sdk/|^ai/", "Vercel AI SDK"),
    (r"^(Async)?OpenAI/", "OpenAI SDK"),
    (r"^(Async)?Anthropic/", "Anthropic SDK"),
    (r"^(Async)?Cloudflare/", "Cloudflare SDK"),
)
"""Patterns of user agents, the first match wins."""


def framework_of(user_agent: str | None) -> str:
    """The framework or client that sent a request; the first word of an unknown user agent."""
    if not user_agent:
        return ""
    for pattern, name in _FRAMEWORKS:
        if re.search(pattern, user_agent, re.IGNORECASE):
            return name
    return user_agent.partition("/")[0].partition(" ")[0][:24]


def wire_of(request_type: str) -> str:
    """The name of a wire format."""
    return WIRES.get(request_type, request_type)


def local_time(created_at: str, now: datetime | None = None) -> str:
    """The time of day of an ISO timestamp, in the zone of this machine; with the date unless it is today."""
    moment = datetime.fromisoformat(created_at).astimezone()
    today = (now or datetime.now()).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%d %b %H:%M:%S}"


def money(dollars: float) -> str:
    """Dollars with as many digits as matter: `$12.30`, `$0.0042`, `$0.0000031`."""
    if dollars == 0:
        return "$0"
    if abs(dollars) >= 1:
        return f"${dollars:,.2f}"
    digits = f"{dollars:.2g}"
    return f"${float(digits):.10f}".rstrip("0") if abs(dollars) >= 1e-9 else "<$0.000000001"


def duration(milliseconds: float) -> str:
    """`80 ms`, `1.25 s` or `2 min 5 s`."""
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.3g} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s"


def compact(number: int) -> str:
    """`950`, `12.3k`, `4.56M`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)


def shorten(text: str, longest: int) -> str:
    """A text of at most so many characters; ids of machines are cut to the few that tell them apart."""
    if re.fullmatch(r"(?:[0-9a-f]+-?){2,}", text) and len(text) > _LONGEST_ID:
        return text[:_LONGEST_ID] + "\u2026"
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


def count(number: int) -> str:
    """`950`, `12,300`."""
    return f"{number:,}"


Child: TypeAlias = "str | int | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"

_VISIBLE = {
    code: f"\\u{code:04x}" for code in (*range(9), 11, *range(14, 32), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters, which would vanish or reorder the text around them, as escapes."""
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "rect"})


class Markup(str):
    """HTML that needs no escaping, because `tag` made it."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element; text is escaped, and None is nothing.

    In the names of attributes a trailing underscore is dropped (`class_`), and others become dashes (`aria_label`).
    None and False leave an attribute out, True gives it no value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>" if name != "rect" else f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Several children, one after the other."""
    return Markup("".join(_render(child) for child in children))


def _render(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return child
        case str():
            return html.escape(child.translate(_VISIBLE))
        case int():
            return str(child)
        case _:
            return join(child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


STATIC_PATH = "/_simulator/static"


def document(title: str, *content: Child, controls: Child = None) -> Markup:
    """A complete document."""
    head = (
        tag("meta", charset="utf-8"),
        tag("title", f"{title} · AI Gateway"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href=f"{STATIC_PATH}/icon.svg"),
        tag("link", rel="stylesheet", href=f"{STATIC_PATH}/page.css"),
        tag("script", src=f"{STATIC_PATH}/page.js", defer=True),
    )
    body = (
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag(
            "header",
            tag(
                "a",
                tag("img", src=f"{STATIC_PATH}/icon.svg", alt="", width=20, height=20),
                tag("strong", "AI Gateway"),
                tag("span", "local", class_="tag"),
                href="/",
                class_="brand",
            ),
            controls,
        ),
        tag("main", content, id="content"),
    )
    return join([Markup("<!doctype html>"), tag("html", tag("head", head), tag("body", body), lang="en")])
