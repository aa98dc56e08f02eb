"""What code of an agent raised, as text that can be written as JSON."""

import traceback

from forebay.core.errors import ForebayError

_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 20_000


def message_of(error: BaseException) -> str:
    """What an error says of itself, or its name."""
    try:
        text = error.message if isinstance(error, ForebayError) else str(error)
    except Exception:  # noqa: BLE001 -- an error of an agent may fail to say what it is
        text = ""
    return _writable(text[:_MESSAGE_CHARACTERS]) or type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Where an error was raised."""
    return _writable("".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:])


def _writable(text: str) -> str:
    # File names, for one, may hold what is no Unicode and cannot be written as JSON.
    return text.encode("utf-8", "replace").decode()
