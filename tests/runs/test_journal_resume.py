"""Whatever an agent does, and wherever its log is cut: a resumed run says what it would have."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.core.clock import Millis
from forebay.core.codec import Entry, encode_event
from forebay.core.events import JournalDiverged, OutputRestarted, RunSucceeded, Usage
from forebay.runs.journal import Journal
from tests.support.attempts import InMemory, Log, said_in
from tests.support.programs import Program, World, agent_of, concurrent, sequential

_MOST_CRASHES = 3
cuts = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=_MOST_CRASHES)
"""Where each crash cuts the log, as a part of its length."""


async def undisturbed(memory: InMemory, program: Program) -> Log:
    log = await memory.attempt(agent_of(program, World()))
    assert isinstance(log.ending, RunSucceeded), log.ending
    return log


async def disturbed(memory: InMemory, program: Program, whole: Log, cuts: list[float]) -> Log:
    log = whole
    for cut in cuts:
        before = log.cut(2 + int((len(log.said) - 2) * cut))
        finished = set(before.finished())
        world = World()
        log = await memory.attempt(agent_of(program, world), before)
        again = finished & {key.rpartition(":")[2] for key in world.executed}
        assert not again, "a step that has its result was executed again"
    assert isinstance(log.ending, RunSucceeded), log.ending
    return log


def check(program: Program, cuts: list[float], *, in_order: bool) -> None:
    async def both() -> tuple[Log, Log]:
        memory = InMemory()
        whole = await undisturbed(memory, program)
        return whole, await disturbed(memory, program, whole, cuts)

    whole, log = asyncio.run(both())
    if in_order:
        assert list(map(encode_event, log.unvoided())) == list(map(encode_event, whole.unvoided()))
        assert log.fold.output == whole.fold.output
    assert said_in(log.unvoided()) == said_in(whole.unvoided())
    assert log.finished() == whole.finished()
    usage = log.fold.usage or Usage()
    assert tokens_in(log) == usage.input_tokens + usage.output_tokens
    assert not log.of(OutputRestarted, JournalDiverged)


def tokens_in(log: Log) -> int:
    """What the journal of the next attempt takes for consumed."""
    journal = Journal()
    for number, event in enumerate(log.events, 1):
        journal.add(Entry(number, 1, Millis(0), event=event))
    return journal.tokens


@settings(max_examples=200, deadline=None)
@given(sequential, cuts)
def test_a_resumed_run_says_the_same_in_the_same_order(program: Program, cuts: list[float]) -> None:
    check(program, cuts, in_order=True)


@settings(max_examples=200, deadline=None)
@given(concurrent, cuts)
def test_a_resumed_run_says_the_same_in_every_branch(program: Program, cuts: list[float]) -> None:
    check(program, cuts, in_order=False)
