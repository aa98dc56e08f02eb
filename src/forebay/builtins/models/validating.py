"""Looking at a model: can it be reached with its key, is it listed there, does it answer."""

from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import TypeAlias

import msgspec

from forebay.core.codec import decode_json
from forebay.core.errors import HttpError, KeyRefused, ModelError, ModelRefused
from forebay.core.messages import ChatMessage, ChatRequest
from forebay.ports.models import Finding

from .failures import Refused
from .line import Line
from .source import Source
from .trying import failed

_NO_LISTING = frozenset({403, 404, 405, 501})
_ENOUGH = "limit was reached"  # thinking models do not get far with one token

Try: TypeAlias = Callable[[], Awaitable[None]]


def ping() -> ChatRequest:
    """The smallest question."""
    return ChatRequest((ChatMessage("user", "ping"),), max_tokens=1)


async def validate(source: Source, line: Line, answers: Try | None) -> Sequence[Finding]:
    """The findings: `reachable`, `listed`, and `answers` if that is to be tried."""
    try:
        listed = await _listing(source, line)
    except ModelError as error:
        unseen = [_not_ok("listed", "Not looked at: it cannot be reached.")]
        untried = [_not_ok("answers", "Not tried: it cannot be reached.")] if answers else []
        return [_not_ok("reachable", error.message), *unseen, *untried]
    reached = _ok("reachable", f"{source.provider} can be reached.")
    found = [reached, _find(source, listed)]
    return [*found, await _try(source, answers)] if answers else found


def _ok(about: str, message: str) -> Finding:
    return Finding(about, is_ok=True, message=message)


def _not_ok(about: str, message: str) -> Finding:
    return Finding(about, is_ok=False, message=message)


async def _listing(source: Source, line: Line) -> Sequence[str] | None:
    """The models that are listed; None if nothing is. Raises ModelError."""
    try:
        body = await line.look(source.listing)
    except Refused as refused:
        if refused.refusal.status in _NO_LISTING and not _is_about_key(source, refused):
            return None
        raise failed(source, refused) from None
    except HttpError as error:
        raise failed(source, error) from None
    return _ids_in(body) if source.lists_models else None


def _is_about_key(source: Source, refused: Refused) -> bool:
    return isinstance(failed(source, refused), KeyRefused)


def _ids_in(body: bytes) -> Sequence[str] | None:
    try:
        value = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = value.get("data", value.get("models")) if isinstance(value, dict) else value
    if not isinstance(found, list):
        return None
    return [str(each.get("id", "")) for each in found if isinstance(each, dict)]


def _find(source: Source, listed: Sequence[str] | None) -> Finding:
    if not listed:
        return _ok("listed", f"{source.provider} does not list its models.")
    wanted = source.model
    if any(_is_same(wanted, each) for each in listed):
        return _ok("listed", f"{wanted} is listed.")
    near = get_close_matches(wanted, listed, n=3, cutoff=0.5) or sorted(listed)[:3]
    return _not_ok(
        "listed",
        f"{source.provider} lists {len(listed)} models, and {wanted} is none of them: it has "
        f"{', '.join(near)}, for instance. Check model_name in {source.place}.",
    )


def _is_same(wanted: str, listed: str) -> bool:
    """Some list a name with its tag, its date or its folder."""
    bare = listed.removeprefix("models/")
    return wanted == bare or bare.startswith((f"{wanted}:", f"{wanted}-20"))


async def _try(source: Source, answers: Try) -> Finding:
    try:
        await answers()
    except ModelRefused as error:
        if _ENOUGH not in error.message:
            return _not_ok("answers", error.message)
    except ModelError as error:
        return _not_ok("answers", error.message)
    return _ok("answers", f"{source.who} answers.")
