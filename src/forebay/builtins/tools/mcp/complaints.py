"""What a program that was started writes to its standard error: lines of our log, for debugging."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TextIO

from .masking import Mask

_LOG = logging.getLogger(__name__)

_LONGEST_LINE = 4_000


@asynccontextmanager
async def complaints(program: str, mask: Mask) -> AsyncGenerator[TextIO]:
    """A file for a program to write to."""
    ends = os.pipe()
    reading, writing = os.fdopen(ends[0], "rb", buffering=0), os.fdopen(ends[1], "w")
    with writing:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: _Lines(program, mask), reading)
        try:
            yield writing
        finally:
            transport.close()


class _Lines(asyncio.Protocol):
    def __init__(self, program: str, mask: Mask) -> None:
        self._program = program
        self._mask = mask
        self._begun = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._begun + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        self._begun = rest
        for line in lines:
            self._log(line)

    def eof_received(self) -> None:
        if self._begun:
            self._log(self._begun)

    def _log(self, line: bytes) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            text = line[:_LONGEST_LINE].decode(errors="replace")
            _LOG.debug("%s: %s", self._program, self._mask.text(text))
