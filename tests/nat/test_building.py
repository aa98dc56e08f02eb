"""Loading NAT and building a file: what is refused at the start, and what may yet go away."""

import asyncio
import logging
import threading

import pytest

from forebay.builtins.agents.nat import NatWorkflow
from forebay.builtins.agents.nat.loading import AGAIN_SECONDS
from forebay.core.clock import SystemClock
from forebay.core.errors import AgentLoadError, StartError, WorkflowError
from forebay.core.events import RunFailed
from forebay.core.json import Json
from forebay.testing.clock import ManualClock
from tests.support.waiting import until

from . import signals
from .conftest import Bench, answer_of

SECRET = "sk-a-very-secret-key"


def picky(fails: str = "no") -> dict[str, Json]:
    return {"workflow": {"_type": "picky", "key": SECRET, "fails": fails}}


async def refusal(bench: Bench, config: dict[str, Json]) -> str:
    """What is told of a file that NAT does not take."""
    workflow = bench.workflow(config)
    with pytest.raises(WorkflowError) as raised:
        await workflow.ready()
    assert workflow.problem == raised.value.message
    assert SECRET not in raised.value.message
    return raised.value.message


async def test_an_unknown_type_is_told_with_those_that_are_known(bench: Bench):
    message = await refusal(bench, {"workflow": {"_type": "nope"}})
    assert message.startswith("NAT does not take w.yml:\n  workflow: NAT has no type 'nope' here.")
    assert "current_datetime, " in message
    assert "echo_flow, " in message
    assert "--import" in message


async def test_everything_that_nat_finds_wrong_is_told_with_its_place_and_without_values(
    bench: Bench,
):
    message = await refusal(
        bench,
        {
            "nonsense": {},
            "llms": {"main": {"_type": "openai", "model_name": "m", "api_key": [SECRET]}},
            "workflow": {"_type": "echo_flow", "chunks": SECRET},
        },
    )
    no_integer = "Input should be a valid integer, unable to parse string as an integer"
    assert message.splitlines()[1:] == [
        "  llms.main.openai.api_key: Input should be a valid string",
        f"  workflow.echo_flow.chunks: {no_integer}",
        "  nonsense: Extra inputs are not permitted",
    ]


async def test_a_component_that_is_not_there_is_refused_when_it_is_built(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "calls_adder", "adder": "nope"}}
    assert "nope" in await refusal(bench, config)


async def test_what_a_builder_raises_is_told_without_secrets_and_without_a_traceback(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    message = await refusal(bench, picky("lasting"))
    assert message == "NAT cannot build w.yml: ValueError: the key *** is wrong"
    assert "Traceback" not in caplog.text
    assert SECRET not in caplog.text


async def test_what_a_run_raises_is_told_without_secrets(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    log = await bench.run(bench.workflow(picky()), "tell")
    assert isinstance(log.ending, RunFailed)
    assert log.ending.message == "LookupError: 401: *** is not known"
    assert SECRET not in caplog.text


async def test_a_server_that_is_down_at_the_start_fails_runs_fast_until_it_is_back(bench: Bench):
    signals.is_down = True
    clock = ManualClock()
    workflow = bench.workflow(picky("passing"), clock=clock)
    await workflow.ready()
    message = "NAT cannot build w.yml: ConnectionError: the server of the tools cannot be reached"
    assert workflow.problem == message

    for _ in range(3):
        ending = (await bench.run(workflow, "x")).ending
        assert isinstance(ending, RunFailed)
        assert ending.message == message
    assert signals.built == 1

    clock.advance(AGAIN_SECONDS)
    await bench.run(workflow, "x")
    assert signals.built == 2

    clock.advance(AGAIN_SECONDS)
    signals.is_down = False
    assert answer_of(await bench.run(workflow, "x")) == "used with x"
    assert workflow.problem is None
    assert signals.built == 3


async def test_runs_at_the_same_time_share_what_was_built(bench: Bench):
    workflow = bench.workflow(picky())
    attempts = [bench.attempt(workflow, "x") for _ in range(20)]
    execution = bench.memory.execution
    await asyncio.gather(*(execution(attempt) for attempt in attempts))
    assert signals.built == 1


async def test_more_runs_than_nat_allows_an_endpoint_are_under_way_at_once(bench: Bench):
    workflow = bench.workflow({"workflow": {"_type": "waits"}})
    runs = [asyncio.create_task(bench.run(workflow, "x")) for _ in range(20)]
    await until(lambda: signals.under_way == 20)
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs)


async def test_nat_is_loaded_beside_the_event_loop(bench: Bench):
    threads: list[threading.Thread] = []
    workflow = bench.workflow(picky(), then=lambda: threads.append(threading.current_thread()))
    await workflow.ready()
    (thread,) = threads
    assert thread is not threading.current_thread()


async def test_what_cannot_be_imported_is_refused(bench: Bench):
    del bench

    def prepare() -> None:
        raise AgentLoadError("there is no module x")

    workflow = NatWorkflow(picky(), "w.yml", SystemClock(), prepare=prepare)
    with pytest.raises(StartError, match="there is no module x"):
        await workflow.ready()
    assert workflow.problem == "there is no module x"
    await workflow.aclose()


async def test_log_handlers_of_the_file_leave_ours_alone(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
):
    root = logging.getLogger()
    ours = logging.StreamHandler()
    ours.setLevel(logging.WARNING)
    root.addHandler(ours)
    level = root.level
    path = tmp_path_factory.mktemp("log") / "nat.log"
    logs: Json = {
        "console": {"_type": "console", "level": "DEBUG"},
        "file": {"_type": "file", "level": "DEBUG", "path": str(path)},
    }
    try:
        workflow = bench.workflow({**picky(), "general": {"telemetry": {"logging": logs}}})
        await workflow.ready()
        assert ours in root.handlers
        assert (ours.level, root.level) == (logging.WARNING, level)
        await workflow.aclose()
        assert ours in root.handlers
        assert (ours.level, root.level) == (logging.WARNING, level)
    finally:
        root.removeHandler(ours)


async def test_closing_while_nat_is_loaded_waits_for_it(bench: Bench):
    workflow = bench.workflow(picky())
    workflow.start()
    await workflow.aclose()
    assert signals.built <= 1
