"""The desk: whose run is it, who may read it, and what is remembered of a start."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from forebay.access.callers import Callers
from forebay.authoring import make_agent
from forebay.control.agents import Agents
from forebay.core.caller import ANONYMOUS, Caller
from forebay.core.errors import (
    AgentNotFound,
    BadCursor,
    InvalidInput,
    KeyReused,
    NoDefaultAgent,
    RunFinished,
    RunNotFound,
    TokenNotAccepted,
)
from forebay.core.ids import RunId, new_run_id
from forebay.desk.desk import Desk, RunQuery, Submission
from forebay.desk.started import Started
from tests.support.agents import Gated, give
from tests.support.server import serving

ADA = Caller("ada", "acme")
BOB = Caller("bob", "acme")
ADA_ELSEWHERE = Caller("ada", "other")


def submission(**fields: object) -> Submission:
    plain: dict[str, object] = {
        "dialect": "test",
        "operation": "runs",
        "input": "hi",
        "durable": True,
        "expiry_seconds": 600,
    }
    return Submission(**plain | fields)  # pyright: ignore[reportArgumentType]


async def ended(started: Started) -> RunId:
    async with asyncio.timeout(5):
        await started.ended(5)
    return started.run_id


async def test_a_run_is_found_by_its_own_caller_only():
    async with serving() as server:
        desk = server.app.desk
        run = await ended(await desk.start(submission(), ADA))
        assert (await desk.open(run, ADA)).caller == "ada"
        assert (await desk.view(run, ADA)).fold.output == "hi"
        for stranger in (BOB, ADA_ELSEWHERE, ANONYMOUS):
            verbs: list[Callable[[RunId, Caller], Awaitable[object]]] = [
                desk.open, desk.view, desk.cancel, desk.delete,
            ]  # fmt: skip
            for verb in verbs:
                with pytest.raises(RunNotFound):
                    await verb(run, stranger)
            with pytest.raises(RunNotFound):
                await desk.answer(run, "question", "answer", stranger)
        assert (await desk.open(run, ADA)).is_finished


async def test_a_list_holds_the_runs_of_its_caller():
    async with serving() as server:
        desk = server.app.desk
        mine = await ended(await desk.start(submission(), ADA))
        theirs = await ended(await desk.start(submission(durable=False), BOB))

        async def listed(caller: Caller) -> list[RunId]:
            query = RunQuery(tenant=caller.tenant, caller=caller.name)
            return [run.id for run in await desk.list(query)]

        assert await listed(ADA) == [mine]
        assert await listed(BOB) == [theirs]
        assert await listed(ADA_ELSEWHERE) == []
        everyone = await desk.list(RunQuery(tenant="acme"))
        assert {run.id for run in everyone} == {mine, theirs}


async def test_a_key_belongs_to_its_caller_and_operation():
    async with serving() as server:
        desk = server.app.desk

        async def start(caller: Caller, **fields: object) -> RunId:
            return await ended(await desk.start(submission(idempotency_key="k", **fields), caller))

        first = await start(ADA)
        assert await start(ADA) == first
        assert await start(BOB) != first
        assert await start(ADA_ELSEWHERE) != first
        assert await start(ADA, operation="jobs") != first
        with pytest.raises(KeyReused):
            await start(ADA, request={"input": "other"})


async def test_what_is_asked_for_is_checked_before_anything_is_started():
    async with serving(give, Gated().agent) as server:
        desk = server.app.desk
        for error, fields in [
            (AgentNotFound, {"agent": "nobody"}),
            (NoDefaultAgent, {}),
            (InvalidInput, {"agent": "echo", "input": 7}),
        ]:
            with pytest.raises(error):
                await desk.start(submission(**fields), ADA)
        assert await desk.list(RunQuery(tenant="acme")) == []


async def test_a_cursor_is_a_number_of_the_log():
    async with serving() as server:
        desk = server.app.desk
        run = await desk.open(await ended(await desk.start(submission(), ADA)), ADA)
        assert run.last == 4
        assert [entry.number for entry in await desk.read(run, after=0, limit=100)] == [1, 2, 3, 4]
        assert await desk.read(run, after=4, limit=100) == []
        for after in (-1, 5, 10**18):
            with pytest.raises(BadCursor):
                await desk.read(run, after=after, limit=100)
            with pytest.raises(BadCursor):
                await desk.follow(run, after=after)


async def test_cancelling_what_is_finished_is_refused_and_what_is_unknown_is_not_found():
    async with serving() as server:
        desk = server.app.desk
        run = await ended(await desk.start(submission(), ADA))
        with pytest.raises(RunFinished):
            await desk.cancel(run, ADA)
        with pytest.raises(RunNotFound):
            await desk.cancel(new_run_id(server.clock.now()), ADA)


async def test_the_caller_and_the_grant_stand_in_the_first_entry():
    async with serving() as server:
        desk = server.app.desk
        started = await desk.start(submission(deadline_seconds=60.0), ADA)
        view = await desk.view(await ended(started), ADA)
        assert view.fold.submitted is not None
        assert view.fold.submitted.caller == ADA
        assert view.fold.submitted.grant.deadline_seconds == 60.0
        assert view.fold.submitted.dialect == "test"


@pytest.mark.parametrize("header", [None, "", "Bearer opaque", "Basic YTpi", "Bearer eyJ"])
async def test_who_presents_no_token_that_claims_anything_is_anonymous(header: str | None):
    async with serving() as server:
        assert server.app.desk.identify(header) == ANONYMOUS


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_a_jwt_that_nobody_can_verify_is_refused(scheme: str):
    async with serving() as server:
        desk: Desk = server.app.desk
        with pytest.raises(TokenNotAccepted):
            desk.identify(f"{scheme} eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln")


async def test_a_run_that_only_others_can_execute_is_queued_and_kept():
    async def body(text: str) -> str:
        return text

    far = make_agent(body, "far")
    async with serving() as server:
        agents = Agents([far], [], elsewhere=["far"])
        desk = Desk(Callers(), agents, server.app.runs, server.clock)
        started = await desk.start(submission(durable=False, waits=True), ADA)
        run = await started.run()
        assert started.is_durable
        assert (run.status, run.durable, run.agent) == ("submitted", True, "far")
