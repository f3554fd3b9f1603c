"""The frame of every page."""

from __future__ import annotations

from cfaig_integrations.simulator.page.markup import Child, Markup, join, tag

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
