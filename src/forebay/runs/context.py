"""The Context that an agent is handed, on the event loop or in a thread."""

import asyncio
from collections.abc import Mapping

from forebay.authoring import as_json
from forebay.core.caller import Caller
from forebay.core.errors import RunFinished
from forebay.core.events import AGENT_EVENTS, AgentEvent, Event, OutputChunk, OutputValue
from forebay.core.grant import Grant
from forebay.core.ids import as_uuid
from forebay.core.json import Json

from .attempt import Attempt
from .recorder import SMALL_CHARACTERS


class RunContext:
    """One run, seen from inside by code on the event loop."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._order = attempt.order

    @property
    def run_id(self) -> str:
        return as_uuid(self._order.run.id)

    @property
    def agent(self) -> str:
        return self._order.run.agent

    @property
    def caller(self) -> Caller:
        return self._order.caller

    @property
    def grant(self) -> Grant:
        return self._order.grant

    @property
    def session(self) -> str | None:
        return self._order.run.session

    @property
    def metadata(self) -> Mapping[str, Json]:
        return self._order.run.metadata

    @property
    def attempt(self) -> int:
        return self._order.run.attempt

    @property
    def cancelled(self) -> bool:
        return self._attempt.interruption is not None or self._attempt.is_closing

    def emit(self, event: AgentEvent) -> None:
        if type(event) not in AGENT_EVENTS:
            raise TypeError(f"An agent cannot emit {type(event).__name__}: the server says that.")
        self._record(event)

    def say(self, text: str) -> None:
        for at in range(0, len(text), SMALL_CHARACTERS):
            self._record(OutputChunk(text[at : at + SMALL_CHARACTERS]))

    def give(self, value: object) -> None:
        """Add what the agent yielded or returned to its answer."""
        if isinstance(value, str):
            self.say(value)
        elif value is not None:
            self._record(OutputValue(as_json(value)))

    def _record(self, event: Event) -> None:
        if self._attempt.is_closing:
            raise RunFinished
        self._attempt.recorder.record(event)


class ThreadContext(RunContext):
    """One run, seen from inside by code that blocks: what it says is said on the event loop."""

    def __init__(self, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(attempt)
        self._loop = loop

    def _record(self, event: Event) -> None:
        if self.cancelled:
            raise RunFinished("The run was ended from outside.")
        asyncio.run_coroutine_threadsafe(self._record_on_loop(event), self._loop).result()

    async def _record_on_loop(self, event: Event) -> None:
        super()._record(event)
        await self._attempt.make_room()
