"""Where a client wants to go on: after which run of a list, after which event of a log."""

from forebay.core.errors import BadCursor, InvalidQuery, MalformedId
from forebay.core.events import TYPES
from forebay.core.ids import RunId, parse_run_id
from forebay.http.request import Request

from .models import EventsQuery

_KNOWN_TYPES = frozenset(TYPES.values())


def page_cursor(text: str) -> RunId:
    """The run after which a page of a list begins. Raises BadCursor."""
    try:
        return parse_run_id(text)
    except MalformedId as error:
        raise BadCursor from error


def event_cursor(request: Request, asked: EventsQuery) -> int:
    """The number after which events are wanted. Raises BadCursor."""
    # A browser that reconnects repeats its first URL: what it saw last is in the header.
    text = request.header(b"last-event-id") or asked.after or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadCursor(f"{text[:80]!r} is not an event number.")
    return int(text)


def event_types(asked: EventsQuery) -> list[str] | None:
    """The types of events that are wanted, if not all are. Raises InvalidQuery."""
    if asked.types is None:
        return None
    types = [name.strip() for name in asked.types.split(",") if name.strip()]
    unknown = sorted(set(types) - _KNOWN_TYPES)
    if unknown or not types:
        known = ", ".join(sorted(_KNOWN_TYPES))
        raise InvalidQuery(f"types: {', '.join(unknown) or 'empty'}. The types are: {known}.")
    return types
