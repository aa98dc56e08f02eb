"""Log lines: text on a terminal, JSON elsewhere, in the form that the lines of ended runs have."""

import logging
import sys
from typing import Literal

from forebay.core.clock import Millis, rfc3339
from forebay.core.codec import encode_json
from forebay.core.json import Json

_EXTRAS = ("run", "request")


def set_up_logging(level: str, form: Literal["text", "json"]) -> None:
    """Send what this process logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("forebay").setLevel(level.upper())


class TextLines(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname.lower()} {record.getMessage()}"
        trace = self._traceback(record)
        return f"{line}\n{trace}" if trace else line

    def _traceback(self, record: logging.LogRecord) -> str | None:
        return self.formatException(record.exc_info) if record.exc_info else None


class JsonLines(TextLines):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Json] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        named = vars(record)
        told |= {name: str(named[name]) for name in _EXTRAS if name in named}
        if trace := self._traceback(record):
            told["traceback"] = trace
        return encode_json(told).decode()


def _time(record: logging.LogRecord) -> str:
    return rfc3339(Millis(round(record.created * 1000)))
