"""Models of images, sound and single tasks on `/ai/run`: what they take and what they return (facts §9.8, §9.9)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects.validation import OpenAIValidator, Validator, WorkersAIValidator
from cfaig_integrations.simulator.fake_model import media
from cfaig_integrations.simulator.fake_model.text import split_sentences
from cfaig_integrations.simulator.json_types import Record, is_list

Shape = Literal["native", "raw", "completed", "no_key", "alias", "bare", "object"]
"""How the output is returned: in Workers AI's envelope; as the bytes of a file; with `state`; the same without
`gatewayMetadata`; in `result` with the model's name; bare with `gatewayMetadata`; the provider's own object."""
Kind = Literal["image", "cutout", "speech", "music", "transcript", "translation", "summary", "sentiment", "labels",
    "boxes", "description", "turn", "film"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaModel:
    """Some models of one task."""

    models: str  # regular expression over the whole model id
    kind: Kind
    task: str  # Cloudflare's name of the task
    input: str  # the field of the text, the picture or the recording
    shape: Shape = "native"
    output: str = ""  # the field of the output
    required: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()  # all fields of a closed schema
    form: bool = False  # the body is a form, and JSON is refused
    urls: bool = True  # files are returned by their URLs, otherwise in base64


_IMAGE, _SPEECH, _HEARING = "Text-to-Image", "Text-to-Speech", "Automatic Speech Recognition"
_TTS_1 = ("text", "voice", "response_format", "speed")

# fmt: off
MODELS: tuple[MediaModel, ...] = (
    MediaModel("cloudflare/image", "image", _IMAGE, "prompt", "alias", "image",
        closed=("prompt", "width", "height", "quality")),
    MediaModel("bytedance/seedream.*", "image", _IMAGE, "prompt", "completed", "images",
        closed=("prompt", "image", "size")),
    MediaModel("google/nano-banana.*", "image", _IMAGE, "prompt", "completed", "image",
        closed=("prompt", "image_input", "aspect_ratio", "output_format", "resolution", "google_search",
            "image_search")),
    MediaModel("bria/.*", "cutout", "Image-to-Image", "image", "no_key", "image"),
    MediaModel("openai/(gpt-image|dall-e).*|recraft/.*|krea/.*|black-forest-labs/flux-(?!video).*", "image", _IMAGE,
        "prompt", "completed", "image"),
    MediaModel("google/gemini.*-tts.*", "speech", _SPEECH, "text", "bare", "audio", urls=False,
        closed=("text", "voice", "temperature", "topP", "topK", "maxOutputTokens", "stopSequences")),
    MediaModel("openai/.*tts.*", "speech", _SPEECH, "text", "completed", "audio", required=_TTS_1, closed=_TTS_1),
    MediaModel("black-forest-labs/flux-video.*|google/gemini-omni.*|klingai/.*|lightricks/.*", "film", "Text-to-Video",
        "prompt"),
    MediaModel("elevenlabs/music.*", "music", "Music Generation", "prompt", "completed", "audio"),
    MediaModel("elevenlabs/eleven.*|minimax/speech.*|inworld/.*", "speech", _SPEECH, "text", "completed", "audio"),
    MediaModel("cloudflare/stt", "transcript", _HEARING, "audio", "alias", closed=("audio",)),
    MediaModel("assemblyai/.*", "transcript", _HEARING, "audio_url", "object"),
    MediaModel("openai/.*transcribe.*", "transcript", _HEARING, "file", "completed",
        closed=("file", "language", "prompt", "temperature")),
    MediaModel("@cf/black-forest-labs/flux-2-.*", "image", _IMAGE, "prompt", output="image", form=True, urls=False),
    MediaModel("@cf/black-forest-labs/.*", "image", _IMAGE, "prompt", output="image", urls=False),
    MediaModel("@cf/(lykon|stabilityai|runwayml|bytedance)/.*", "image", _IMAGE, "prompt", "raw"),
    MediaModel("@cf/deepgram/aura.*", "speech", _SPEECH, "text", "raw"),
    MediaModel("@cf/myshell-ai/melotts.*", "speech", _SPEECH, "prompt", output="audio", urls=False),
    MediaModel("@cf/(openai/whisper|deepgram/nova).*", "transcript", _HEARING, "audio"),
    MediaModel("@cf/meta/m2m100.*", "translation", "Translation", "text", required=("target_lang",)),
    MediaModel("@cf/ai4bharat/indictrans2.*", "translation", "Translation", "text", required=("target_language",)),
    MediaModel("@cf/facebook/bart-large-cnn", "summary", "Summarization", "input_text"),
    MediaModel("@cf/huggingface/distilbert.*", "sentiment", "Text Classification", "text"),
    MediaModel("@cf/microsoft/resnet.*", "labels", "Image Classification", "image"),
    MediaModel("@cf/facebook/detr.*", "boxes", "Object Detection", "image"),
    MediaModel("@cf/(llava-hf|unum)/.*", "description", "Image-to-Text", "image"),
    MediaModel("@cf/pipecat-ai/smart-turn.*", "turn", "Voice Activity Detection", "audio"),
)
"""First match wins; with samples of the catalogue: facts §9.8."""
# fmt: on

_DEFAULT_SIZE, _SMALLEST, _LARGEST = 512, 64, 2048
_PIXELS_PER_TOKEN, _TOKENS_PER_SECOND = 1024, 25
_LONGEST_TEXT = 10_000
_MUSIC_SECONDS, _MOST_MUSIC_SECONDS = 10.0, 600.0
_SUMMARY_SENTENCES = 2


def find_media(model: str) -> MediaModel | None:
    """The row of a model; None if it is none of media."""
    return next((row for row in MODELS if re.fullmatch(row.models, model)), None)


@dataclass(frozen=True, slots=True)
class Files:
    """How files outside the body are written and read."""

    publish: Callable[[bytes, str], str]  # keeps a file of a media type for a while; returns its URL
    fetch: Callable[[str], bytes | None]
    """The file at a URL of the simulator itself; None for any other URL, which is not requested."""


@dataclass(slots=True)
class Output:
    """What a model returns."""

    value: Any  # JSON; with the shape `raw`, nothing
    tokens_in: int
    tokens_out: int = 0
    data: bytes = b""
    content_type: str = "application/json"


def read_upload(row: MediaModel, content_type: str, raw: bytes) -> Record | None:
    """The input in a form or a raw body; None if the body is JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    if row.form and kind == "multipart/form-data":
        form = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + raw)
        return dict(_part(part) for part in form.walk() if not part.is_multipart())
    is_file = media.read_picture(raw) is not None or media.read_recording(raw) is not None
    if row.input in ("image", "audio") and (is_file or kind.startswith(("image/", "audio/"))):
        return {row.input: raw}
    return None


def _part(part: Any) -> tuple[str, str | bytes]:
    data: bytes = part.get_payload(decode=True) or b""
    name = str(part.get_param("name", header="content-disposition"))
    return name, data if part.get_filename() is not None else data.decode("utf-8", "replace")


def run_media(row: MediaModel, model: str, body: Record, files: Files, *, is_form: bool = False) -> Output:
    """The output of a model."""
    job = _Job(row, model, body, files, WorkersAIValidator() if model.startswith("@") else OpenAIValidator())
    if row.kind == "film":
        job.validator.fail("the simulator makes no films")
    if row.form and not is_form:
        job.validator.fail("required properties at '/' are 'multipart'")
    for name in (row.input, *row.required):
        job.validator.required(body, name)
    if row.closed:
        job.validator.only_fields(body, row.closed)
    output = _MAKERS[row.kind](job)
    if row.shape == "alias":
        output.value["model"] = _ALIASES[model]
    return output


_ALIASES = {"cloudflare/image": "google/nano-banana-2", "cloudflare/stt": "openai/gpt-4o-transcribe"}


@dataclass(frozen=True, slots=True)
class _Job:
    """One run."""

    row: MediaModel
    model: str
    body: Record
    files: Files
    validator: Validator

    @property
    def text(self) -> str:
        text = self.validator.required_text(self.body, self.row.input)
        if len(text) > _LONGEST_TEXT:
            self.validator.fail(f"{self.row.input} has more than {_LONGEST_TEXT} characters", (self.row.input,))
        return text

    def file(self, data: bytes, content_type: str, text: str, tokens_out: float) -> Output:
        """The output for a file."""
        counts = (tokens.count(text), round(tokens_out))
        if self.row.shape == "raw":
            return Output(None, *counts, data, content_type)
        value = self.files.publish(data, content_type) if self.row.urls else b64encode(data).decode()
        name = self.row.output
        return Output({name: [value] if name == "images" else value}, *counts)

    def input_file(self) -> bytes | str:
        """The file in the input: its bytes, or a URL from which nothing is downloaded."""
        name = self.row.input
        value = self.body[name]
        if isinstance(value, bytes):
            return value
        if is_list(value):
            if not all(type(byte) is int and 0 <= byte < 256 for byte in value):
                self.validator.fail(f"{name} must be an array of integers from 0 to 255", (name,))
            return bytes(value)
        text = self.validator.text(value, (name,), empty=False)
        if text.startswith(("https://", "http://")):
            return self.files.fetch(text) or text
        return self._decoded(text.partition(",")[2] if text.startswith("data:") else text)

    def _decoded(self, text: str) -> bytes:
        try:
            return b64decode(unquote_to_bytes(text), validate=True)
        except ValueError:
            self.validator.fail(f"{self.row.input} is not valid base64", (self.row.input,))

    def picture(self) -> media.Picture:
        """The picture in the input."""
        data = self.input_file()
        picture = media.Picture(0, 0, "") if isinstance(data, str) else media.read_picture(data)
        if picture is None:
            self.validator.fail(f"{self.row.input} is not a picture in a known format", (self.row.input,))
        return picture

    def recording(self) -> media.Recording:
        """The recording in the input."""
        data = self.input_file()
        if isinstance(data, str):
            return media.Recording(1.0, f"The recording at {data}.")
        recording = media.read_recording(data)
        if recording is None:
            self.validator.fail(f"{self.row.input} is not a recording in a known format", (self.row.input,))
        if recording.text:
            return recording
        length = f" of {recording.seconds:g} seconds" if recording.seconds else ""
        return media.Recording(recording.seconds, f"A recording{length}.")


def _image(job: _Job) -> Output:
    width, height = _size(job)
    data = media.png(job.text, width, height, job.model)
    return job.file(data, "image/png", job.text, width * height / _PIXELS_PER_TOKEN)


def _size(job: _Job) -> tuple[int, int]:
    """Width and height: `size` of OpenAI, such as `1024x512`, or two fields, which are text in a form."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(job.body.get("size", "")))
    sides = match.groups() if match else [job.body.get(name, _DEFAULT_SIZE) for name in ("width", "height")]
    numbers = {"width": sides[0], "height": sides[1]}
    numbers = {name: int(side) if str(side).isdecimal() else side for name, side in numbers.items()}
    width, height = (job.validator.integer(numbers, name, least=_SMALLEST, most=_LARGEST) for name in numbers)
    return width or _DEFAULT_SIZE, height or _DEFAULT_SIZE


def _cutout(job: _Job) -> Output:
    picture = job.picture()
    width, height = (max(_SMALLEST, min(_LARGEST, side or _DEFAULT_SIZE)) for side in (picture.width, picture.height))
    text = f"{picture.text or 'a picture'}, without background"
    return job.file(media.png(text, width, height), "image/png", text, width * height / _PIXELS_PER_TOKEN)


def _speech(job: _Job) -> Output:
    body, seconds = job.body, media.seconds_to_say(job.text)
    formats = [str(body.get(name, "")) for name in ("response_format", "output_format", "container", "encoding")]
    is_wav = job.row.shape == "bare" or any(each.startswith(("wav", "linear16")) for each in formats)
    data, kind = (media.wav(job.text), "audio/wav") if is_wav else (media.mp3(job.text), "audio/mpeg")
    return job.file(data, kind, job.text, seconds * _TOKENS_PER_SECOND)


def _music(job: _Job) -> Output:
    milliseconds = job.body.get("music_length_ms")
    if milliseconds is None:
        milliseconds = _MUSIC_SECONDS * 1000
    seconds = job.validator.number(milliseconds, ("music_length_ms",), 1000, _MOST_MUSIC_SECONDS * 1000) / 1000
    return job.file(media.mp3(job.text, seconds), "audio/mpeg", job.text, seconds * _TOKENS_PER_SECOND)


def _transcript(job: _Job) -> Output:
    recording = job.recording()
    words = media.timed_words(recording)
    counts = (round(recording.seconds * _TOKENS_PER_SECOND), tokens.count(recording.text))
    if job.row.shape == "object":
        value = _assembly(job, recording, words)
    elif "nova" in job.model:
        spoken = [{"word": word, "start": start, "end": end, "confidence": 0.99} for word, start, end in words]
        best = {"transcript": recording.text, "confidence": 0.99, "words": spoken}
        value = {"results": {"channels": [{"alternatives": [best]}]}}
    elif job.model.startswith("@"):
        value = _whisper(job, recording, words)
    else:
        value = {"text": recording.text}
    return Output(value, *counts)


def _assembly(job: _Job, recording: media.Recording, words: list[tuple[str, float, float]]) -> Record:
    spoken: list[Record] = [
        {"text": word, "start": round(start * 1000), "end": round(end * 1000), "confidence": 0.99, "speaker": None}
        for word, start, end in words
    ]
    url = job.body["audio_url"]
    return {
        "id": "00000000-0000-4000-8000-000000000000", "language_code": "en", "status": "completed",
        "audio_url": url if str(url).startswith("http") else None, "text": recording.text, "words": spoken,
        "utterances": None, "confidence": 0.99, "audio_duration": round(recording.seconds),
        "speech_model_used": "universal-3-5-pro",
    }  # fmt: skip


def _whisper(job: _Job, recording: media.Recording, words: list[tuple[str, float, float]]) -> Record:
    end = f"{int(recording.seconds // 60):02}:{recording.seconds % 60:06.3f}"
    info = {"language": str(job.body.get("language") or "en"), "duration": recording.seconds}
    segment: Record = {"start": 0, "end": recording.seconds, "text": recording.text}
    return {
        "text": recording.text,
        "word_count": len(words),
        "segments": [segment],
        "vtt": f"WEBVTT\n\n00:00.000 --> {end}\n{recording.text}\n",
        "transcription_info": info,
    }


def _translation(job: _Job) -> Output:
    name = job.row.required[0]
    language = job.validator.required_text(job.body, name)
    texts = job.validator.text_list(job.body, "text", 100)
    translated = [f"[{language}] {text}" for text in texts]  # the fake model speaks no other language
    value: Record = {"translations": translated} if "indictrans" in job.model else {"translated_text": translated[0]}
    return Output(value, tokens.count("\n".join(texts)), tokens.count("\n".join(translated)))


def _summary(job: _Job) -> Output:
    most = job.validator.integer(job.body, "max_length") or 1024
    summary = tokens.cut(" ".join(split_sentences(job.text)[:_SUMMARY_SENTENCES]), most)
    return Output({"summary": summary}, tokens.count(job.text), tokens.count(summary))


def _sentiment(job: _Job) -> Output:
    good = media.sentiment(job.text)
    scores = [{"label": "NEGATIVE", "score": round(1 - good, 4)}, {"label": "POSITIVE", "score": good}]
    return Output(scores, tokens.count(job.text))


def _labels(job: _Job) -> Output:
    picture = job.picture()
    labels: list[Record] = [{"label": label, "score": score} for label, score in media.labels(picture)]
    if job.row.kind == "boxes":
        step = 1 / (len(labels) + 1)
        for number, each in enumerate(labels):
            left, top = round(picture.width * step * number), round(picture.height * step * number)
            size = round(min(picture.width, picture.height) * step)
            each["box"] = {"xmin": left, "ymin": top, "xmax": left + size, "ymax": top + size}
    return Output(labels, _picture_tokens(picture))


def _picture_tokens(picture: media.Picture) -> int:
    return max(1, picture.width * picture.height // _PIXELS_PER_TOKEN)


def _description(job: _Job) -> Output:
    picture = job.picture()
    size = f" It has {picture.width} x {picture.height} pixels." if picture.width else ""
    text = f"The picture shows {picture.text or 'nothing that the fake model knows'}.{size}"
    return Output({"description": text}, _picture_tokens(picture), tokens.count(text))


def _turn(job: _Job) -> Output:
    recording = job.recording()
    ends = recording.text.rstrip().endswith((".", "!", "?"))
    value: Record = {"is_complete": ends, "probability": 0.95 if ends else 0.2}
    return Output(value, round(recording.seconds * _TOKENS_PER_SECOND))


_MAKERS: dict[str, Callable[[_Job], Output]] = {
    "image": _image, "cutout": _cutout, "speech": _speech, "music": _music, "transcript": _transcript,
    "translation": _translation, "summary": _summary, "sentiment": _sentiment, "labels": _labels, "boxes": _labels,
    "description": _description, "turn": _turn,
}  # fmt: skip
