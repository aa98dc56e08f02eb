"""Clients: they submit, follow, answer, lose their connections, and come back with the last id."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from random import Random

from .plans import answer_to
from .stories import Entry, Plan, Setback, Story, View
from .wire import Answer, Asked, Frames, Lost, Reply, Wrong, answered, ask

_IDLE_SECONDS = 4.0  # then a client comes back by itself: its server may be stopped
_ANSWER_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 1.0
_NOT_NOW = frozenset({429, 503, 507})
_CLOSED = frozenset({"question_closed", "run_finished"})
_SECOND_FOLLOWERS = 0.2
_STREAMED = 0.25
_SUBMITTED_AGAIN = 0.1
_LEAVING = 0.3


@dataclass(frozen=True, slots=True)
class Scene:
    """What all clients of a round share."""

    port: int
    effects: str
    plans: Sequence[Plan]
    calm: asyncio.Event
    """Set when no new runs are to be submitted."""


class Client:
    """One client: a run after another, each to its end."""

    def __init__(self, scene: Scene, name: str, seed: str) -> None:
        self.stories: list[Story] = []
        self._scene = scene
        self._name = name
        self._random = Random(seed)

    async def play(self) -> None:
        """Until it is calm and the last run is over."""
        while not self._scene.calm.is_set():
            await self._pause(0.5)
            plan = self._random.choices(
                self._scene.plans, [each.share for each in self._scene.plans]
            )[0]
            await self.tell(plan)

    async def tell(self, plan: Plan, *, mode: str | None = None) -> Story:
        """One run, from its submission to its last entry, as all its followers see it."""
        random = self._random
        if mode is None:
            mode = "stream" if random.random() < _STREAMED else "background"
        story = Story(
            plan,
            f"{self._name}/{len(self.stories)}",
            {
                "agent": plan.agent,
                "input": plan.input,
                "mode": mode,
                "durable": True,
                "metadata": {"effects": self._scene.effects},
            },
        )
        story.views.append(View("first"))
        if random.random() < _SECOND_FOLLOWERS:
            story.views.append(View("second"))
        self.stories.append(story)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._submit(story, tasks)
                if random.random() < _SUBMITTED_AGAIN:
                    tasks.create_task(self._submit(story, tasks, again=True))
                for view in story.views:
                    tasks.create_task(self._follow(story, view, tasks))
        except* Wrong as wrong:
            story.complaints += [str(each) for each in wrong.exceptions]
        return story

    # --- submitting -----------------------------------------------------------------------------

    async def _submit(self, story: Story, tasks: asyncio.TaskGroup, *, again: bool = False) -> None:
        asked = Asked("POST", "/api/runs", story.body, {"idempotency-key": story.key})
        acknowledged = False
        while not acknowledged:
            story.submissions += 1
            with _noted(story.setbacks):
                async with answered(self._scene.port, asked, seconds=_ANSWER_SECONDS) as answer:
                    await _acknowledge(story, answer)
                    acknowledged = True
                    if not again and story.body["mode"] == "stream":
                        await self._watch(story, story.views[0], answer, tasks)
            await self._pause()

    # --- following ------------------------------------------------------------------------------

    async def _follow(self, story: Story, view: View, tasks: asyncio.TaskGroup) -> None:
        while not view.is_over:
            headers = {"accept": "text/event-stream"}
            if view.cursor:
                headers["last-event-id"] = str(view.cursor)
            asked = Asked("GET", f"/api/runs/{story.run}/events", None, headers)
            with _noted(view.setbacks):
                async with answered(self._scene.port, asked, seconds=_ANSWER_SECONDS) as answer:
                    if answer.status != 200:
                        raise _refused(f"following after {view.cursor}", await answer.read())
                    await self._watch(story, view, answer, tasks)
                    continue
            await self._pause()

    async def _watch(
        self, story: Story, view: View, answer: Answer, tasks: asyncio.TaskGroup
    ) -> None:
        """Take what comes, until it ends, breaks off, or the client has enough."""
        view.connections += 1
        leaves_after = None
        if self._random.random() < _LEAVING:
            leaves_after = view.cursor + self._random.randrange(1, 30)
        frames = Frames()
        async with aclosing(answer.pieces()) as pieces:
            while piece := await _within(_IDLE_SECONDS, pieces):
                for frame in frames.feed(piece):
                    entry = view.take(frame)
                    if entry is not None and view is story.views[0]:
                        self._hear(story, entry, tasks)
                    if leaves_after is not None and view.cursor >= leaves_after:
                        return

    def _hear(self, story: Story, entry: Entry, tasks: asyncio.TaskGroup) -> None:
        story.hear(entry)
        if entry.type == "question.asked":
            tasks.create_task(self._answer(story, str(entry.said["question"])))
        if entry.number == story.plan.cancels_after:
            tasks.create_task(self._cancel(story))

    # --- answering ------------------------------------------------------------------------------

    async def _answer(self, story: Story, question: str) -> None:
        await self._pause()
        path = f"/api/runs/{story.run}/answers/{question}"
        asked = Asked("POST", path, {"answer": answer_to(story.plan)})
        while not story.is_over:
            story.answers_sent += 1
            with _noted(story.setbacks):
                reply = await ask(self._scene.port, asked, seconds=_ANSWER_SECONDS)
                if reply.status < 300 or (story.answers_sent > 1 and _is_closed(reply)):
                    return  # or an earlier one has come there, but what was said to it not here
                raise _refused(f"answering {question}", reply)
            await self._pause()

    # --- cancelling -----------------------------------------------------------------------------

    async def _cancel(self, story: Story) -> None:
        asked = Asked("POST", f"/api/runs/{story.run}/cancel")
        while not story.is_over:
            with _noted(story.setbacks):
                reply = await ask(self._scene.port, asked, seconds=_ANSWER_SECONDS)
                story.is_cancelled = reply.status < 300
                if story.is_cancelled or _is_closed(reply):
                    return
                raise _refused("cancelling", reply)
            await self._pause()

    async def _pause(self, longest: float = _LONGEST_PAUSE_SECONDS) -> None:
        await asyncio.sleep(self._random.uniform(0, longest))


@contextmanager
def _noted(setbacks: list[Setback]) -> Generator[None]:
    """What clients have to bear is not passed on."""
    try:
        yield
    except Lost as lost:
        setbacks.append(Setback(time.monotonic(), str(lost)))


async def _acknowledge(story: Story, answer: Answer) -> None:
    """Take note that a submission was acknowledged. Raises Lost if it was not, Wrong."""
    if answer.status in (200, 202) and "x-run-id" in answer.headers:
        story.acknowledge(answer.headers["x-run-id"])
        return
    reply = await answer.read()
    if reply.status != 200:
        raise _refused("submitting", reply)
    story.acknowledge(str(reply.json().get("id")))  # it was over before it was asked for again


def _refused(what: str, reply: Reply) -> Lost | Wrong:
    told = f"{what} was answered {reply.told}"
    return Lost(told) if reply.status in _NOT_NOW else Wrong(told)


def _is_closed(reply: Reply) -> bool:
    return reply.status == 409 and reply.json().get("code") in _CLOSED


async def _within(seconds: float, pieces: AsyncGenerator[bytes]) -> bytes:
    """The next piece; nothing if there is none, or none in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await anext(pieces, b"")
    return b""
