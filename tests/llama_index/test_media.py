"""Images, recordings, films, documents and sources in messages, and what each wire is sent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)
from llama_index.core.schema import ImageDocument

from cfaig_integrations.core.content import (
    Media,
    Text,
)
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.llama_index.outbound import media_block
from cfaig_integrations.simulator import Simulator
from tests.langchain.media import PDF, png, wav
from tests.llama_index.kit import (
    CALL,
    EPHEMERAL,
    base64,
    message,
    model,
    parts_of,
    point,
    sent,
    tool,
    turn_of,
    user,
)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (ImageBlock(image=png()), Media("image", data=base64(png()), mime="image/png")),
        (ImageBlock(image=base64(png()).encode()), Media("image", data=base64(png()), mime="image/png")),
        (ImageBlock(image=io.BytesIO(png())), Media("image", data=base64(png()), mime="image/png")),
        (ImageBlock(url="https://a.example/i.webp"), Media("image", url="https://a.example/i.webp", mime="image/webp")),
        (
            ImageBlock(url=f"data:image/png;base64,{base64(png())}"),
            Media("image", data=base64(png()), mime="image/png"),
        ),
        (AudioBlock(audio=wav()), Media("audio", data=base64(wav()), mime="audio/wav")),
        (AudioBlock(audio=wav(), format="mp3"), Media("audio", data=base64(wav()), mime="audio/mp3")),
        (VideoBlock(url="https://a.example/v.mp4"), Media("video", url="https://a.example/v.mp4", mime="video/mp4")),
        (VideoBlock(video=b"v", video_mimetype="video/mp4"), Media("video", data="dg==", mime="video/mp4")),
        (DocumentBlock(data=PDF), Media("file", data=base64(PDF), mime="application/pdf")),
        (DocumentBlock(data=base64(PDF).encode()), Media("file", data=base64(PDF), mime="application/pdf")),
        (
            DocumentBlock(data=b"a,b\n1,2", title="t.csv"),
            Media("file", data=base64(b"a,b\n1,2"), mime="text/csv", name="t.csv"),
        ),
        (DocumentBlock(data=b"in plain words"), Media("file", data=base64(b"in plain words"), mime="text/plain")),
        (
            DocumentBlock(data=b"\0\1\2\xff" * 9, title="Dump"),
            Media("file", data=base64(b"\0\1\2\xff" * 9), name="Dump"),
        ),
        (
            DocumentBlock(url="https://a.example/d.pdf", title="D"),
            Media("file", url="https://a.example/d.pdf", mime="application/pdf", name="D"),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_media_is_read(block: ContentBlock, expected: Media) -> None:
    assert parts_of(block) == (expected,)


@pytest.mark.parametrize(
    ("kind", "name", "content", "mime"),
    [
        (ImageBlock, "i.png", png(), "image/png"),
        (ImageBlock, "without-suffix", png(), "image/png"),
        (AudioBlock, "a.wav", wav(), "audio/wav"),
        (DocumentBlock, "d.pdf", PDF, "application/pdf"),
        (DocumentBlock, "d.md", b"# Title", "text/markdown"),
        (DocumentBlock, "README", b"#" + "ü".encode() * 9000, "text/plain"),
    ],
)
def test_a_file_is_read_from_disk(kind: Any, name: str, content: bytes, mime: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    (part,) = parts_of(kind(path=file))
    assert isinstance(part, Media)
    assert (part.data, part.mime) == (base64(content), mime)
    assert part.name == (name if kind is DocumentBlock else "")


def test_bytes_assigned_to_a_block_are_encoded() -> None:
    block = ImageBlock()
    block.image = png()
    assert parts_of(block) == (Media("image", data=base64(png()), mime="image/png"),)


def test_the_position_of_a_stream_does_not_change() -> None:
    stream = io.BytesIO(PDF)
    stream.seek(7)
    original = user(DocumentBlock(data=stream))
    assert turn_of(original) == turn_of(original)
    assert stream.tell() == 7


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "gone.png"
    file.write_bytes(png())
    block = ImageBlock(path=file)
    file.unlink()
    with pytest.raises(ConfigError, match=r"gone\.png") as raised:
        parts_of(block)
    assert (raised.value.field, raised.value.value) == ("path", str(file))


@pytest.mark.parametrize("block", [ImageBlock(), AudioBlock(), VideoBlock(), DocumentBlock()], ids=repr)
def test_a_block_without_content_is_refused(block: ContentBlock) -> None:
    with pytest.raises(UnsupportedContent, match="no content"):
        parts_of(block)


def test_empty_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    closed = io.BytesIO(png())
    blocks = ImageBlock(path=tmp_path / "empty.png"), ImageBlock(image=io.BytesIO()), ImageBlock(image=closed)
    closed.close()
    for block in blocks:
        with pytest.raises(ConfigError) as raised:
            parts_of(block)
        assert raised.value.remedy
    with pytest.raises(UnsupportedContent, match="base64"):
        parts_of(DocumentBlock(url="data:text/plain,hello"))


def test_an_images_detail_is_sent_where_the_wire_has_it(simulator: Simulator) -> None:
    requested = user("What is it?", ImageBlock(url="https://a.example/i.png", detail="low"))
    chat = sent(simulator, "chat_completions", requested)["messages"][0]["content"][1]
    assert chat["image_url"] == {"url": "https://a.example/i.png", "detail": "low"}
    assert sent(simulator, "responses", requested)["input"][0]["content"][1]["detail"] == "low"
    anthropic = sent(simulator, "messages", requested)["messages"][0]["content"][1]
    assert anthropic == {"type": "image", "source": {"type": "url", "url": "https://a.example/i.png"}}


def test_unsupported_media_raises(simulator: Simulator) -> None:
    with pytest.raises(UnsupportedContent, match="video"):
        sent(simulator, "messages", user(VideoBlock(url="https://a.example/v.mp4")))


def test_images_in_additional_kwargs_are_sent_once() -> None:
    document = ImageDocument(image=base64(png()).encode(), image_mimetype="image/png")
    expected = (Text("Look."), Media("image", data=base64(png()), mime="image/png"))
    assert parts_of("Look.", images=[document]) == expected
    later = user("Look.")
    later.additional_kwargs["images"] = [document]
    assert turn_of(later).parts == expected
    later.additional_kwargs["images"] = ["i.png"]
    with pytest.raises(UnsupportedContent, match="images"):
        turn_of(later)


# Sources to cite


def test_a_citable_block_is_a_search_result_where_the_wire_has_one(simulator: Simulator) -> None:
    source = CitableBlock(title='The "Times"', source="https://a.example", content=[TextBlock(text="Rome is warm.")])
    requested = user("Read this.", source, point(), "Is it?")
    assert sent(simulator, "messages", requested)["messages"][0]["content"] == [
        {"type": "text", "text": "Read this."},
        {
            "type": "search_result",
            "source": "https://a.example",
            "title": 'The "Times"',
            "content": [{"type": "text", "text": "Rome is warm."}],
            "citations": {"enabled": True},
            "cache_control": EPHEMERAL,
        },
        {"type": "text", "text": "Is it?"},
    ]
    chat = sent(simulator, "chat_completions", requested)["messages"][0]["content"]
    responses = "".join(part["text"] for part in sent(simulator, "responses", requested)["input"][0]["content"])
    for text in (chat, responses):
        assert all(argument in text for argument in ("Times", "https://a.example", "\nRome is warm.\n", "Is it?"))


def test_a_tool_may_return_citable_blocks(simulator: Simulator) -> None:
    source = CitableBlock(title="T", source="https://a.example", content=[TextBlock(text="Rome is warm.")])
    requested = user("go"), model(CALL), tool(source)
    result = sent(simulator, "messages", *requested)["messages"][2]["content"][0]
    assert [block["type"] for block in result["content"]] == ["search_result"]
    assert "Rome is warm." in sent(simulator, "chat_completions", *requested)["messages"][2]["content"]


def test_a_citable_block_in_a_system_message_is_text(simulator: Simulator) -> None:
    source = CitableBlock(title="T", source="https://a.example", content=[TextBlock(text="Rome is warm.")])
    assert "Rome is warm." in sent(simulator, "messages", message("system", source), user("hi"))["system"]


def test_documents_and_images_of_a_citable_block_are_sent(simulator: Simulator) -> None:
    source = CitableBlock(
        title="T",
        source="https://a.example",
        content=[TextBlock(text=""), DocumentBlock(data=PDF), ImageBlock(image=png())],
    )
    document, image = sent(simulator, "messages", user(source))["messages"][0]["content"]
    assert (document["title"], document["context"], document["citations"]) == (
        "T",
        "https://a.example",
        {"enabled": True},
    )
    assert image["type"] == "image"


def test_citations_of_an_answer_are_not_sent_again() -> None:
    cited = CitationBlock.model_validate(
        {"cited_content": "x", "source": "s", "title": "t", "additional_location_info": {"start": 0}}
    )
    assert turn_of(model("a", cited)).parts == (Text("a"),)


@pytest.mark.parametrize("content", [b"abcd", b"Hello123", b"Hello, world!", PDF], ids=repr)
@pytest.mark.parametrize("kind", ["image", "audio", "video", "file"])
def test_generated_media_survives_the_round_trip(kind: Any, content: bytes) -> None:
    """Also where the bytes themselves look like base64."""
    created = Media(kind, data=base64(content), mime=f"{kind}/x", name="a.txt" if kind == "file" else "")
    assert parts_of(media_block(created)) == (created,)


def test_invalid_base64_does_not_lose_an_answer() -> None:
    assert media_block(Media("image", data="abc", mime="image/png"))
