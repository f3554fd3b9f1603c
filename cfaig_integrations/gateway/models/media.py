"""The input field of image and speech models, whose schemas differ: a table with its evidence beside each row.

A model that no row names has the field that most models of its task have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cfaig_integrations.gateway.models.tables import matching

MediaTask: TypeAlias = Literal["image", "speech", "transcription"]


@dataclass(frozen=True, slots=True)
class Row:
    """How some models take their input.

    Attributes:
        field: Input field of the text, or of the recording.
        form: Whether the input is sent as a form.
        base64: Whether a recording is sent in base64, not as a URL or data URL.
        raw: Whether a recording is the body.
    """

    task: MediaTask
    models: str
    field: str
    evidence: str
    form: bool = False
    base64: bool = False
    raw: bool = False


TABLE: tuple[Row, ...] = (
    Row("image", "@cf/black-forest-labs/flux-2-*", "prompt", "§9.8", form=True),
    Row("image", "*", "prompt", "§9.9: all image models there"),
    Row("speech", "@cf/myshell-ai/melotts*", "prompt", "§9.9"),
    Row("speech", "*", "text", "§9.9: OpenAI, ElevenLabs, Google, Deepgram"),
    Row("transcription", "openai/*", "file", "§9.9: gpt-4o-transcribe"),
    Row("transcription", "assemblyai/*", "audio_url", "§9.9"),
    Row("transcription", "@cf/deepgram/*", "audio", "§9.9: nova-3", raw=True),
    Row("transcription", "@cf/*", "audio", "§9.9: whisper-large-v3-turbo", base64=True),
    Row("transcription", "*", "audio", "§9.9: cloudflare/stt"),
)
"""First match of a task wins."""


def input_of(model: str, task: MediaTask) -> Row:
    """How a model takes its input."""
    return next(row for row in matching(TABLE, model.lower()) if row.task == task)
