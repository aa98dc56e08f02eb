"""What a provider complains of, and which error of ours it is. Says what to try next.

Nothing that a provider wrote is repeated before it was scrubbed: some repeat the key.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from forebay.core.codec import decode_json
from forebay.core.errors import (
    ContentFiltered,
    ContextTooLong,
    HttpError,
    KeyRefused,
    MalformedReply,
    ModelCutOff,
    ModelError,
    ModelRefused,
    ModelUnknown,
    ModelUnreachable,
    Offline,
    RateLimited,
    TookTooLong,
)
from forebay.core.json import Json

from .source import Source

_LONGEST = 400
_TOO_LONG = re.compile(
    r"maximum context length|maximum model length|context[ _-]?(?:size|window|limit|length)"
    r"|prompt is too long|too large for model|maximum allowed token size"
    r"|exceeds? the maximum number of tokens|exceeds the limit of \d+ tokens"
    r"|must (?:be|have) (?:<=|less than) \d+ tokens|inputs` tokens \+ |reduce the length of",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[ _](?:filter|policy|management)|content_policy|responsibleai|flagged as"
    r"|safety system",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient[ _](?:quota|balance|credit)|exceeded your current quota|credit balance"
    r"|billing|payment required|out of credits",
    re.IGNORECASE,
)
_BAD_KEY = re.compile(
    r"api[ _]?key not (?:valid|found)|(?:invalid|incorrect|missing) (?:x-)?api[ _-]?key"
    r"|invalid_api_key|authentication_error",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model_not_found|deploymentnotfound|not_found_error|unknown model|invalid model"
    r"|model\b.{0,80}(?:not found|does(?:n't| not) exist|not exist|is not available)",
    re.IGNORECASE,
)
_BUSY = re.compile(r"overloaded|rate[ _]limit|too many requests", re.IGNORECASE)
_OVERLOADED = 529  # as Anthropic says
_TIMED_OUT, _TOO_LARGE = 408, 413


class Complaint(NamedTuple):
    """What a provider says is wrong."""

    message: str = ""
    code: str = ""
    kind: str = ""
    param: str = ""

    @property
    def words(self) -> str:
        """All of it, to look for something in."""
        return f"{self.message} {self.code} {self.kind}"


class Refusal(NamedTuple):
    """An answer that is none."""

    status: int
    complaint: Complaint
    retry_after: str | None = None


class Refused(Exception):
    """The provider has answered with an error. Inside this package only."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class Unreadable(Exception):
    """The answer is not what it should be. Inside this package only."""


# --- reading ------------------------------------------------------------------------------------


def read_complaint(body: bytes) -> Complaint:
    """What the body of an error says, in whichever shape it comes."""
    try:
        value = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[: 4 * _LONGEST].decode(errors="replace").strip()
        return Complaint("" if text.startswith("<") else _short(text))
    return complaint_in(value)


def complaint_in(value: Json) -> Complaint:
    """What an object that has an error says."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return Complaint(_short(str(value or "")))
    error = value.get("error", value)
    if not isinstance(error, dict):
        return Complaint(_text(error), kind=_text(value.get("error_type")))
    message = error.get("message") or error.get("detail") or error.get("title") or error.get("msg")
    return Complaint(
        _text(message),
        _text(error.get("code") or error.get("status") or value.get("statusCode")),
        _text(error.get("type")),
        _text(error.get("param")),
    )


def status_in(complaint: Complaint) -> int:
    """The status of an error that came in the middle of a stream; 500 if it tells none."""
    for told in (complaint.code, complaint.kind):
        if told.isdigit() and 400 <= int(told) < 600:
            return int(told)
    return 500


def _text(value: Json) -> str:
    """A message, however it is wrapped."""
    match value:
        case None | bool():
            return ""
        case str() | int() | float():
            return _short(str(value))
        case dict():
            inner = value.get("message") or value.get("msg") or value.get("detail")
            return _text(inner) if inner is not None else _short(str(value))
        case list():
            return _short("; ".join(_text(each) for each in value[:3]))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# --- telling ------------------------------------------------------------------------------------


def kind_of(status: int, complaint: Complaint) -> type[ModelError]:
    """Which error a refusal is."""
    for kind, fits in _RULES:
        if fits(status, complaint):
            return kind
    return ModelUnreachable


def _is_client_error(status: int) -> bool:
    return 400 <= status < 500 and status != _TIMED_OUT


_RULES: tuple[tuple[type[ModelError], Callable[[int, Complaint], bool]], ...] = (
    (ModelUnknown, lambda status, said: status == 403 and bool(_NO_MODEL.search(said.code))),
    (ContentFiltered, lambda status, said: status == 403 and bool(_FILTERED.search(said.words))),
    (KeyRefused, lambda status, _: status in {401, 403}),
    (KeyRefused, lambda status, said: status < 500 and bool(_BAD_KEY.search(said.words))),
    (RateLimited, lambda status, _: status in {402, 429, _OVERLOADED}),
    (ContextTooLong, lambda _, said: bool(_TOO_LONG.search(said.words))),
    (ContentFiltered, lambda _, said: bool(_FILTERED.search(said.words))),
    (RateLimited, lambda _, said: bool(_BUSY.search(said.words) or _QUOTA.search(said.words))),
    (ContextTooLong, lambda status, _: status == _TOO_LARGE),
    (ModelUnknown, lambda status, said: status < 500 and bool(_NO_MODEL.search(said.words))),
    (ModelUnknown, lambda status, _: status == 404),
    (ModelRefused, lambda status, _: _is_client_error(status)),
)


def refused(source: Source, refusal: Refusal, *, has_spoken: bool = False) -> ModelError:
    """The error for a refusal. One in the middle of a reply that is nobody's fault cuts it off."""
    status, complaint, retry_after = refusal
    kind = kind_of(status, complaint)
    if has_spoken and status >= 500 and kind in {ModelUnreachable, RateLimited}:
        kind = ModelCutOff
    said = source.scrub(complaint.message).rstrip(".")
    happened, told = _happened(kind, source, refusal), f" ({status})"
    words = f": {said}" if said else "" if happened.endswith(told) else told
    error = kind(f"{happened}{words}. {_next(kind, source, refusal)}")
    if kind is RateLimited:
        error.retry_after = _seconds(retry_after)
    return error


def keyless(source: Source) -> KeyRefused:
    """The error for a call without a key."""
    return KeyRefused(f"{source.who} needs a key: {source.key_advice}.")


def unreachable(source: Source, error: HttpError, *, has_spoken: bool = False) -> ModelUnreachable:
    """The error for a call that has failed on its way."""
    why = f"{source.scrub(error.message.rstrip('.'))}.".replace("?.", "?")
    if has_spoken:
        return ModelCutOff(f"{source.who} stopped in the middle of its reply: {why} Try again.")
    if isinstance(error, TookTooLong):
        advice = f" Try again, or raise request_timeout in {source.place}."
    elif isinstance(error, Offline):
        advice = ""  # it says itself what to do
    else:
        advice = f" Check that it runs, and base_url in {source.place}."
    return ModelUnreachable(f"{source.who} cannot be reached: {why}{advice}")


def cut_off(source: Source, *, has_spoken: bool) -> ModelUnreachable:
    """The error for a stream that has ended before the reply did."""
    if has_spoken:
        return ModelCutOff(f"{source.who} stopped in the middle of its reply. Try again.")
    return ModelUnreachable(f"{source.who} ended its answer before it said anything. Try again.")


def malformed(source: Source, error: Unreadable) -> MalformedReply:
    """The error for an answer that is not what it should be."""
    advice = f"Check that base_url in {source.place} is that of a {source.kind} API"
    why = source.scrub(str(error))
    return MalformedReply(f"The answer of {source.who} cannot be read: {why}. {advice}.")


def too_long(source: Source, about: int, most: int) -> ContextTooLong:
    """The error for a conversation that is not sent."""
    return ContextTooLong(
        f"The conversation has about {about} tokens, and {source.who} takes {most}, as "
        f"context_tokens in {source.place} says. Shorten it, or use a model that takes more."
    )


def declined(source: Source, words: str) -> ContentFiltered:
    """The error for a model that does not want to answer."""
    return ContentFiltered(f"{source.who} declines to answer: {source.scrub(_short(words))}")


def _happened(kind: type[ModelError], source: Source, refusal: Refusal) -> str:
    who = source.who
    if kind is RateLimited and _is_quota(refusal):
        return f"The quota at {who} is used up"
    if _leads_elsewhere(refusal):
        return f"{who} leads elsewhere, where the key does not go ({refusal.status})"
    told: dict[type[ModelError], str] = {
        KeyRefused: f"{who} refuses the key",
        ModelUnknown: f"{source.provider} has no model {source.model}"
        if _NO_MODEL.search(refusal.complaint.words)
        else f"{who} is not where it was looked for ({refusal.status})",
        RateLimited: f"{who} takes no more calls for now",
        ContextTooLong: f"The conversation is longer than {who} can take",
        ContentFiltered: f"{who} refuses the content",
        ModelCutOff: f"{who} stopped in the middle of its reply",
        ModelUnreachable: f"{who} does not work ({refusal.status})",
        ModelRefused: f"{who} does not take this request ({refusal.status})",
    }
    return told[kind]


def _next(kind: type[ModelError], source: Source, refusal: Refusal) -> str:
    place = source.place
    if kind is RateLimited:
        if _is_quota(refusal):
            return f"Look at the plan and the bill there, or name fallbacks in {place}."
        seconds = _seconds(refusal.retry_after)
        wait = f"Try again in {seconds:g} seconds" if seconds else "Try again later"
        return f"{wait}, or name fallbacks in {place}."
    if _leads_elsewhere(refusal):
        return f"Check base_url in {place}."
    if kind is ModelUnknown:
        also = "" if _NO_MODEL.search(refusal.complaint.words) else "base_url and "
        return f"Check {also}model_name in {place}."
    advice: dict[type[ModelError], str] = {
        KeyRefused: f"Check the key: {source.key_advice}.",
        ContextTooLong: "Shorten it, or use a model that takes more.",
        ContentFiltered: "Ask for something else, or look at the provider's content policy.",
        ModelCutOff: "Try again.",
        ModelUnreachable: f"Try again later, or name fallbacks in {place}.",
        ModelRefused: f"Check the fields of {place}.",
    }
    return advice[kind]


def _leads_elsewhere(refusal: Refusal) -> bool:
    return 300 <= refusal.status < 400


def _is_quota(refusal: Refusal) -> bool:
    return refusal.status == 402 or bool(_QUOTA.search(refusal.complaint.words))


def _seconds(retry_after: str | None) -> float | None:
    try:
        return float(retry_after) if retry_after else None
    except ValueError:
        return None
