"""Person: who sits at the terminal, and is asked one question after the other."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from forebay.core.errors import InvalidAnswer, QuestionClosed, RunFinished
from forebay.core.events import Event, Prompt, QuestionAnswered, QuestionAsked, QuestionExpired
from forebay.core.json import Json

from .answers import prompt_lines, read_answer


class Person:
    """Reads answers from standard input, which has to be a terminal."""

    def __init__(
        self,
        answer: Callable[[str, Json], Awaitable[object]],
        leave: Callable[[], None],
    ) -> None:
        """Gives answers to `answer`, and calls `leave` when the person wants no more of it."""
        self._answer = answer
        self._leave = leave
        self._open: dict[str, Prompt] = {}
        self._shown: str | None = None
        self._answering: asyncio.Task[None] | None = None

    def hear(self, event: Event) -> None:
        """Take the next event of the log: it may open a question, or close it."""
        match event:
            case QuestionAsked() if event.prompt.kind != "notification":
                self._open[event.question] = event.prompt
            case QuestionAnswered() | QuestionExpired():
                self._open.pop(event.question, None)
            case _:
                return
        if self._shown not in self._open:
            self._show_next()

    async def aclose(self) -> None:
        """Ask nothing more."""
        self._open.clear()
        self._show_next()
        if self._answering is not None:
            await self._answering

    def _show_next(self) -> None:
        if self._shown is not None:
            asyncio.get_running_loop().remove_reader(sys.stdin)
        self._shown = next(iter(self._open), None)
        if self._shown is not None:
            lines = "\n".join(prompt_lines(self._open[self._shown]))
            print(f"\n{lines}\n> ", end="", file=sys.stderr, flush=True)
            asyncio.get_running_loop().add_reader(sys.stdin, self._typed)

    def _typed(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        line = sys.stdin.readline()  # of a terminal: it is there as a whole
        if not line:
            self._leave()
        elif self._shown is not None:
            answer = read_answer(self._open[self._shown], line.rstrip("\r\n"))
            self._answering = asyncio.create_task(self._give(self._shown, answer))

    async def _give(self, question: str, answer: Json) -> None:
        try:
            with suppress(QuestionClosed, RunFinished):  # which the log tells, too
                await self._answer(question, answer)
        except InvalidAnswer as error:
            print(error.message, file=sys.stderr)
            self._show_next()
