"""The input field of image and speech models, whose schemas differ: a table with its evidence beside each row.

A model that no row names has the field that most models of its task have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["TABLE", "MediaTask", "Row", "input_of"]

MediaTask: TypeAlias = Literal["image", "speech", "transcription"]


@dataclass(frozen=True, slots=True)
class Row:
    """How some models take their input.

    Attributes:
        task: What they are for.
        pattern: Regular expression for the whole id, in lower case.
        field: Input field of the text, or of the recording.
        evidence: Where this is known from.
        form: Whether the input is sent as a form.
        base64: Whether a recording is sent in base64, not as a URL or data URL.
        raw: Whether a recording is the body.
    """

    task: MediaTask
    pattern: str
    field: str
    evidence: str
    form: bool = False
    base64: bool = False
    raw: bool = False


TABLE: tuple[Row, ...] = (
    Row("image", r"@cf/black-forest-labs/flux-2-.*", "prompt", "§9.8", form=True),
    Row("image", r".*", "prompt", "§9.9: all image models there"),
    Row("speech", r"@cf/myshell-ai/melotts.*", "prompt", "§9.9"),
    Row("speech", r".*", "text", "§9.9: OpenAI, ElevenLabs, Google, Deepgram"),
    Row("transcription", r"openai/.*", "file", "§9.9: gpt-4o-transcribe"),
    Row("transcription", r"assemblyai/.*", "audio_url", "§9.9"),
    Row("transcription", r"@cf/deepgram/.*", "audio", "§9.9: nova-3", raw=True),
    Row("transcription", r"@cf/.*", "audio", "§9.9: whisper-large-v3-turbo", base64=True),
    Row("transcription", r".*", "audio", "§9.9: cloudflare/stt"),
)
"""First match of a task wins."""


def input_of(model: str, task: MediaTask) -> Row:
    """How a model takes its input.

    Args:
        model: Model id.
        task: What it is used for.
    """
    return next(row for row in TABLE if row.task == task and re.fullmatch(row.pattern, model.lower()))
