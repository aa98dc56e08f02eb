"""A round: clients come, faults come, then it is calm, and everything has to add up."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from forebay.core.clock import SystemClock, rfc3339

from .checks import Kept, executions, flaws
from .clients import Client, Scene
from .effects import Effect, happened
from .faults import Fault, Injector
from .logs import Outcome, outcome_of
from .plans import PLANS, holding, is_holding
from .stage import Stage
from .stories import Entry, Story, entry_of
from .wire import Asked, Lost, Object, Wrong, answered, ask

BOUND_SECONDS = 15.0
"""After the last fault every run ends within this and the time its agent needs, and that of an
agent that keeps the interpreter lock beside it."""

_PAUSE_SECONDS = 0.55
_BUSY_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_READERS = 8
_TRIES = 5
_REFERENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that was promised, and did not hold."""

    told: str
    story: Story | None = None
    log: Sequence[Entry] = ()
    effects: Sequence[Effect] = ()


@dataclass(slots=True)
class Round:
    """What a round was like."""

    stage: str
    faults: Sequence[Fault] = ()
    stories: Sequence[Story] = ()
    began: float = 0.0
    began_at: str = ""
    """The time of day, as the logs of processes have it."""
    calm: float = 0.0
    quiet: float = 0.0
    """When the last run had ended."""
    events: int = 0
    attempts: int = 0
    steps: int = 0
    begun: int = 0
    executed: int = 0
    violations: list[Violation] = field(default_factory=list[Violation])


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens in a round."""

    clients: int
    faults: int
    hold_seconds: float
    """How long one step of one run keeps the interpreter lock."""
    until: float
    """After this moment no fault comes any more."""


async def references(stage: Stage, size: Size, seed: str) -> Mapping[str, Outcome]:
    """What every plan comes to when nobody disturbs it. Raises Wrong."""
    scene = Scene(stage.network.port, str(stage.effects), PLANS, asyncio.Event())
    plans = [holding(size.hold_seconds), *(plan for plan in PLANS if plan.cancels_after is None)]
    clients = [Client(scene, f"{seed}/reference/{plan.name}", seed) for plan in plans]
    telling = (
        client.tell(plan, mode="background") for client, plan in zip(clients, plans, strict=True)
    )
    try:
        async with asyncio.timeout(_REFERENCE_SECONDS):
            told = await asyncio.gather(*telling)
    except TimeoutError as error:
        raise Wrong(f"undisturbed runs did not end within {_REFERENCE_SECONDS:g} s") from error
    effects = happened(stage.effects)
    stage.effects.unlink(missing_ok=True)
    found: dict[str, Outcome] = {}
    for story in told:
        kept = await _kept(stage, story)
        found[story.plan.name] = outcome_of(kept.log)
        wrong = list(flaws(story, kept, effects.get(str(story.run), ()), None))
        if (attempts := _count(kept.log, "run.started")) != 1 + _count(kept.log, "run.waiting"):
            wrong.append(f"undisturbed, it took {attempts} attempts: {_losses(kept.log)}")
        if wrong:
            raise Wrong(f"{story.plan.name}, undisturbed (run {story.run}): {wrong}")
    return found


async def play(
    stage: Stage, name: str, size: Size, seed: str, expected: Mapping[str, Outcome]
) -> Round:
    """One round."""
    calm, hold = asyncio.Event(), holding(size.hold_seconds)
    scene = Scene(stage.network.port, str(stage.effects), PLANS, calm)
    clients = [
        Client(scene, f"{seed}/{number}", f"{seed}/{number}") for number in range(size.clients)
    ]
    holder = Client(scene, f"{seed}/holding", seed)
    clients.append(holder)
    rng = Random(seed)

    def stories() -> list[Story]:
        return [story for client in clients for story in client.stories]

    told = Round(name, began=time.monotonic(), began_at=rfc3339(SystemClock().now()))
    injector = Injector(stage, rng, stories)
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(client.play()) for client in clients[:-1]
    ]
    tasks.append(asyncio.create_task(holder.tell(hold)))
    try:
        await _until_busy(stories, size.clients)
        await injector.inject(size.faults, pause_seconds=_PAUSE_SECONDS, until=size.until)
        calm.set()
        told.calm = time.monotonic()
        longest = BOUND_SECONDS + 2 * hold.seconds
        await asyncio.wait(tasks, timeout=longest)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    told.faults, told.stories = injector.faults, stories()
    told.quiet = max([told.calm, *(story.ended for story in told.stories if story.ended)])
    await _judge(stage, told, expected)
    return told


async def _until_busy(stories: Callable[[], Sequence[Story]], clients: int) -> None:
    """A fault that comes before anybody works would hit nobody."""
    give_up = time.monotonic() + _BUSY_SECONDS
    while sum(story.status == "running" for story in stories()) < clients // 2:
        if time.monotonic() > give_up:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _judge(stage: Stage, told: Round, expected: Mapping[str, Outcome]) -> None:
    told.violations += [
        Violation(f"{each} ({count} times)") for each, count in stage.complaints.items()
    ]
    stage.complaints.clear()
    extra = max((each.plan.seconds for each in told.stories if _holds(each, told.calm)), default=0)
    effects = happened(stage.effects)
    told.executed = executions(effects)
    gate = asyncio.Semaphore(_READERS)

    async def judge(story: Story) -> None:
        done = effects.get(str(story.run), ())
        limit = BOUND_SECONDS + story.plan.seconds + extra
        if not story.is_over or story.ended is None:
            found = story.complaints or [_unfinished(story, limit)]
            told.violations += [Violation(each, story, (), done) for each in found]
            return
        async with gate:
            try:
                kept = await _kept(stage, story)
            except (Wrong, Lost) as error:
                told.violations.append(Violation(f"it cannot be read: {error}", story, (), done))
                return
        found = list(flaws(story, kept, done, expected.get(story.plan.name)))
        if story.ended - told.calm > limit:
            found.append(f"it ended {story.ended - told.calm:.1f} s after the last fault")
        told.violations += [Violation(each, story, kept.log, done) for each in found]
        _count_in(told, kept.log)

    await asyncio.gather(*(judge(story) for story in told.stories))
    stage.effects.unlink(missing_ok=True)


def _losses(log: Sequence[Entry]) -> list[str]:
    return [str(entry.said.get("message")) for entry in log if entry.type == "run.requeued"]


def _holds(story: Story, calm: float) -> bool:
    """Whether a run kept the lock after the last fault, and others from going on."""
    return is_holding(story.plan) and (story.ended is None or story.ended > calm)


def _unfinished(story: Story, limit: float) -> str:
    if story.run is None:
        return f"it was not acknowledged {limit:g} s after the last fault"
    seen = ", ".join(f"{view.name} saw {view.cursor}" for view in story.views)
    return f"its end was not seen {limit:g} s after the last fault ({story.status}; {seen})"


def _count_in(told: Round, log: Sequence[Entry]) -> None:
    told.events += len(log)
    told.attempts += _count(log, "run.started")
    told.begun += _count(log, "step.started")
    told.steps += _count(log, "step.finished")


def _count(log: Sequence[Entry], kind: str) -> int:
    return sum(entry.type == kind for entry in log)


# --- what is kept -------------------------------------------------------------------------------


async def _kept(stage: Stage, story: Story) -> Kept:
    """What the server shows of a run now. Raises Wrong, Lost."""
    path = f"/api/runs/{story.run}"
    run = await _shown(stage, path, {})
    log: list[Entry] = []
    after: object = 0
    while after is not None:
        page = await _shown(stage, f"{path}/events?after={after}", {"accept": "application/json"})
        events = page["events"]
        assert isinstance(events, list), "as it is documented"
        log += map(entry_of, events)
        after = page["next"]
    if not log:
        raise Wrong("it has no log")
    return Kept(run, log, await _joined(stage, story))


async def _shown(stage: Stage, path: str, headers: Mapping[str, str]) -> Object:
    reply = None
    for _ in range(_TRIES):
        try:
            reply = await ask(stage.network.port, Asked("GET", path, None, headers))
        except Lost:
            continue
        if reply.status == 200:
            return reply.json()
    raise Wrong(f"{path} was answered {reply.told if reply else 'never'}")


async def _joined(stage: Stage, story: Story) -> str:
    asked = Asked("POST", "/api/runs", story.body, {"idempotency-key": story.key})
    async with answered(stage.network.port, asked, seconds=10) as answer:
        if "x-run-id" in answer.headers:
            return answer.headers["x-run-id"]
        reply = await answer.read()
    if reply.status != 200:
        raise Wrong(f"the same submission, sent once more, was answered {reply.told}")
    return str(reply.json().get("id"))
