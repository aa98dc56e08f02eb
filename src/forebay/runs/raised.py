"""What code raised: as text that can be written as JSON, and as an error once more."""

import traceback
from typing import NoReturn

from forebay.core import errors
from forebay.core.errors import ForebayError, ModelError, StepFailed, ToolError

_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 20_000

_TYPED = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ModelError | ToolError)
}


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


def typed(failed: StepFailed) -> ModelError | ToolError | None:
    """What a step has failed with, if it was an error of a model or a tool."""
    kind = _TYPED.get(failed.error)
    return None if kind is None else kind(failed.message)


def raise_typed(failed: StepFailed) -> NoReturn:
    """Raise what a step has failed with, as the error of a model or a tool if it was one."""
    error = typed(failed)
    if error is None:
        raise failed
    raise error from failed


def _writable(text: str) -> str:
    # File names, for one, may hold what is no Unicode and cannot be written as JSON.
    return text.encode("utf-8", "replace").decode()
