"""Prose: small talk, echoes, sums, and answers picked from the context; nothing is invented."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from cfaig_integrations.simulator.fake_model.conversation import Conversation, candidate_sentences
from cfaig_integrations.simulator.fake_model.text import (
    COMMAND_WORDS,
    STOP_WORDS,
    find_names,
    find_numbers,
    find_quoted,
    find_words,
    most_relevant,
    split_sentences,
)
from cfaig_integrations.simulator.types import Message, ModelRequest

_VERBATIM_LIMIT = 800
_ECHO = re.compile(
    r"(?:^|[.!?:;,\n]\s*|\bplease\s+|\bjust\s+|\bnow\s+)(?:say|echo|print|repeat(?: after me| this| back)?"
    r"|(?:reply|respond|answer|output|write)(?:\s+only|\s+back)?(?:\s+with)?\s+(?:exactly|only|just|with(?: the word)?)"
    r"(?:\s+(?:exactly|only|just|the word|the text|this))*)\b\s*(?:exactly|the word\b|the phrase\b)?\s*[:,]?\s*(.+)",
    re.IGNORECASE | re.DOTALL,
)
_ASIDE = re.compile(r"\s*,?\s+(?:and nothing else|and say nothing else|only|nothing else)\s*[.!]*$", re.IGNORECASE)
_MY_NAME = re.compile(
    "(?:my name(?:'s| is)|i am called|call me|i'm|i am)\\s+([A-Z\u3040-\u9fff][\\w'-]*(?:\\s[A-Z][\\w'-]*)?)",
    re.IGNORECASE,
)
_WHO = re.compile(r"\b(?:what(?:'s| is| was) my name|who am i|do you (?:know|remember) my name)\b", re.IGNORECASE)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|good (?:morning|evening|day)|greetings)\b[\s\w,]{0,20}[!.?]*\s*", re.IGNORECASE
)
_HOW_ARE_YOU = re.compile(r"\bhow are you\b", re.IGNORECASE)
_THANKS = re.compile(r"\s*(?:thanks|thank you)\b.{0,40}", re.IGNORECASE)
_NUMBER = r"(-?\d{1,15}(?:\.\d{1,15})?)"
_SUM = re.compile(_NUMBER + "\\s*([-+*/x\u00d7\u00f7]|plus|minus|times|divided by)\\s*" + _NUMBER)
_COUNT = re.compile(r"\bcount (?:from (\d{1,9}) )?(?:up )?to (\d{1,9})\b", re.IGNORECASE)
_TOPIC = re.compile(r"\b(?:about|on|of|for)\s+(?:an?\s+|the\s+)?([\w' -]+)", re.IGNORECASE)
_GENRE = re.compile(r"\b(joke|haikus?|poem|story|essay)\b", re.IGNORECASE)
_COUNT_LIMIT = 2000
_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": float.__add__, "plus": float.__add__, "-": float.__sub__, "minus": float.__sub__,
    "*": float.__mul__, "x": float.__mul__, "\u00d7": float.__mul__, "times": float.__mul__,
    "/": float.__truediv__, "\u00f7": float.__truediv__, "divided by": float.__truediv__,
}  # fmt: skip
_TEMPLATES = {
    "joke": "Why did the {0} sit next to the computer? To keep an eye on the mouse.",
    "haiku": "Soft light on {0},\nthe morning counts its quiet steps,\nand the day begins.",
    "poem": "I met {0} upon the way,\nwe shared the quiet of the day,\nand what was gray turned gold again.",
    "story": "Once there was {0}. One day the road went further than the map, and so did the tale. "
    "At every bend somebody asked the way, and at every bend there was an answer. In the end all came home.",
    "essay": "There is much to say about {0}. It begins small, it grows with attention, and it rewards patience.",
}


def reply(request: ModelRequest, conversation: Conversation) -> str:
    """The answer as text; never empty."""
    if conversation.results:
        return _from_results(conversation)
    for skill in (_echo, _user_name, _count, _sum, _creative, _describe_media, _small_talk):
        text = skill(request, conversation)
        if text:
            return text
    question = " ".join(conversation.question.split())
    unknown = f"I was given nothing that answers this: {question}" if question else "There was no question to answer."
    return answer_from_context(request, conversation) or unknown


def answer_from_context(request: ModelRequest, conversation: Conversation) -> str:
    """The part of the context that answers the question; empty if none does."""
    if conversation.results:
        return _from_results(conversation)
    return " ".join(most_relevant(conversation.question, candidate_sentences(request, conversation)))


def from_search(query: str) -> str:
    """The answer after a web search; the simulated web has one page per query."""
    return f"I searched the web for {query}. The page that I found is about {query}."


def topic(text: str) -> str:
    """The topic of a text, in a few words."""
    m = _TOPIC.search(text)
    if m:
        return " ".join(re.split(r"\b(?:in|with|that|and|using)\b", m[1])[0].split()) or "it"
    named = find_names(text) or find_quoted(text)
    if named:
        return named[0]
    ignored = STOP_WORDS | COMMAND_WORDS | {*_TEMPLATES, "haikus", "jokes"}
    remaining = [w for w in find_words(text) if w not in ignored and not w.isdigit()]
    return " ".join(dict.fromkeys(remaining[:4])) or "it"


def canned(field: str, text: str) -> str:
    """A fixed text for a field of a joke; empty for any other field."""
    question, _, punchline = _TEMPLATES["joke"].format(topic(text)).partition("? ")
    return {"setup": f"{question}?", "punchline": punchline}.get(field.lower(), "")


def _from_results(conversation: Conversation) -> str:
    sentences: list[str] = []
    names = {c.id: c.name for c in conversation.calls}
    for result in conversation.results:
        name = names.get(result.call_id, "the tool")
        text = result.text.strip()
        if len(text) > _VERBATIM_LIMIT:
            text = " ".join(most_relevant(conversation.question, split_sentences(text)) or split_sentences(text)[:3])
        sentences.append(f"{name} failed: {text}" if result.failed else text or f"{name} gave no output.")
    return _with_media(conversation, " ".join(sentences))


def _echo(_: ModelRequest, conversation: Conversation) -> str:
    m = _ECHO.search(conversation.prompt)
    if not m:
        return ""
    marked = find_quoted(m[1])
    return marked[0] if marked else _ASIDE.sub("", m[1]).strip().rstrip(".") or m[1].strip()


def _user_name(request: ModelRequest, conversation: Conversation) -> str:
    if not _WHO.search(conversation.question):
        return ""
    name = _introduced(reversed(request.messages))
    return f"Your name is {name}." if name else "You have not told me your name."


def _count(_: ModelRequest, conversation: Conversation) -> str:
    m = _COUNT.search(conversation.question)
    if not m:
        return ""
    first, last = int(m[1] or 1), int(m[2])
    return ", ".join(str(n) for n in range(first, min(last, first + _COUNT_LIMIT) + 1))


def _sum(_: ModelRequest, conversation: Conversation) -> str:
    m = _SUM.search(conversation.question)
    if not m or (m[2] in "/\u00f7divided by" and float(m[3]) == 0):
        return ""
    value = _OPERATIONS[m[2]](float(m[1]), float(m[3]))
    return f"{m[1]} {m[2]} {m[3]} = {value:.10g}."


def _creative(_: ModelRequest, conversation: Conversation) -> str:
    m = _GENRE.search(conversation.question)
    if not m:
        return ""
    kind = m[1].lower().removesuffix("s")
    times = next(iter(find_numbers(conversation.question)), 1) if m[1].lower().endswith("s") else 1
    return "\n\n".join([_TEMPLATES[kind].format(topic(conversation.question))] * max(1, min(int(times), 5)))


def _describe_media(request: ModelRequest, conversation: Conversation) -> str:
    if not conversation.media:
        return ""
    sentences = most_relevant(conversation.question, candidate_sentences(request, conversation))
    return _with_media(conversation, " ".join(sentences) or f"You wrote: {conversation.question or 'nothing with it'}")


def _with_media(conversation: Conversation, text: str) -> str:
    if not conversation.media:
        return text
    kinds = ", ".join(f"an {kind}" if kind[0] in "aeiou" else f"a {kind}" for kind in dict.fromkeys(conversation.media))
    return f"I received {kinds}. {text}"


def _small_talk(request: ModelRequest, conversation: Conversation) -> str:
    prompt = conversation.prompt
    if _HOW_ARE_YOU.search(prompt):
        return "I am fine, thank you. How can I help you today?"
    if _GREETING.fullmatch(prompt):
        name = _introduced(request.messages)
        return f"Hello{', ' if name else ''}{name}! How can I help you today?"
    if _THANKS.fullmatch(prompt):
        return "You are welcome. Is there anything else I can do for you?"
    m = _MY_NAME.search(prompt)
    return f"Nice to meet you, {m[1]}." if m and m[1][0].isupper() and "?" not in prompt else ""


def _introduced(messages: Iterable[Message]) -> str:
    """The first name that the user gives; empty if there is none."""
    names = (m[1] for message in messages if message.role == "user" for m in _MY_NAME.finditer(message.text))
    return next((name for name in names if name[0].isupper() or not name.isascii()), "")
