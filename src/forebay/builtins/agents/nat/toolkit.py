"""NAT's own names, and nobody else imports them. Importing this takes seconds: only in a thread.

What NAT would do to the process it is in (its log lines, its handlers) is undone or switched off.
"""

# NAT has no stubs: its annotations are read from its sources.
# pyright: reportMissingTypeStubs=false

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeAlias, cast

import pydantic
from nat.builder.context import Context, ContextState
from nat.builder.per_user_workflow_builder import PerUserWorkflowBuilder
from nat.builder.workflow import Workflow
from nat.builder.workflow_builder import WorkflowBuilder
from nat.cli.type_registry import GlobalTypeRegistry
from nat.data_models import interactive
from nat.data_models.api_server import ChatRequest, ChatResponse, ChatResponseChunk
from nat.data_models.api_server import Request as RequestData
from nat.data_models.api_server import Usage as ChatUsage
from nat.data_models.config import Config
from nat.data_models.intermediate_step import IntermediateStep
from nat.runtime.loader import PluginTypes, discover_and_register_plugins
from nat.runtime.runner import Runner
from nat.runtime.user_metadata import RequestAttributes
from nat.utils.type_utils import DecomposedType

from forebay.core.errors import FieldProblem, WorkflowError
from forebay.core.json import Json

__all__ = [
    "AnyWorkflow",
    "ChatRequest",
    "ChatResponse",
    "ChatResponseChunk",
    "ChatUsage",
    "Config",
    "Context",
    "ContextState",
    "DecomposedType",
    "IntermediateStep",
    "RequestAttributes",
    "RequestData",
    "Runner",
    "WorkflowBuilder",
    "build_for_all",
    "build_for_user",
    "input_schema",
    "interactive",
    "is_per_user",
    "listen",
    "read_config",
    "register_plugins",
    "result_of",
    "stream_of",
]

AnyWorkflow: TypeAlias = Workflow[object, object, object]

_TOLD_BY_US = (  # an error that is raised need not be logged, and with the user's input in it
    "nat.builder.function",
    "nat.builder.workflow_builder",
    "nat.data_models.config",
    "nat.runtime.runner",
)
_CHATTER = ("nat.data_models.discovery_metadata",)


def register_plugins() -> None:
    """Import what the installed packages bring, as NAT's own commands do."""
    for name in _TOLD_BY_US:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.ERROR)
    discover_and_register_plugins(PluginTypes.CONFIG_OBJECT)


def read_config(data: Mapping[str, Json], source: str) -> Config:
    """NAT's configuration. Raises WorkflowError with all that NAT finds wrong."""
    try:
        config = Config.model_validate(data)
    except pydantic.ValidationError as error:
        problems = [
            FieldProblem(each["loc"], _message(each["type"], each["msg"]), each["type"])
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise WorkflowError(
            f"NAT does not take {source}:\n"
            + "\n".join(f"  {_dotted(each.location)}: {each.message}" for each in problems),
            problems=problems,
        ) from None
    handlers = config.general.telemetry.logging  # a console would replace our own log lines
    config.general.telemetry.logging = {
        name: each
        for name, each in handlers.items()
        if "console" not in type(each).__name__.lower()
    }
    return config


def is_per_user(config: Config) -> bool:
    """Whether the workflow is built for each user by itself."""
    return GlobalTypeRegistry.get().get_function(type(config.workflow)).is_per_user


# --- building -----------------------------------------------------------------------------------


@asynccontextmanager
async def build_for_all(
    config: Config, functions: Sequence[str | None]
) -> AsyncGenerator[tuple[WorkflowBuilder, dict[str | None, AnyWorkflow]]]:
    """What all users share, and the workflows that start at these functions."""
    async with AsyncExitStack() as stack:
        with _our_logging(stack):
            shared = await stack.enter_async_context(WorkflowBuilder.from_config(config))
        yield shared, {each: await _build(shared, each) for each in functions}


@asynccontextmanager
async def build_for_user(
    config: Config, function: str | None, user: str, shared: WorkflowBuilder
) -> AsyncGenerator[AnyWorkflow]:
    """The workflow of one user."""
    ContextState.get().user_id.set(user)
    async with PerUserWorkflowBuilder.from_config(user, config, shared) as builder:
        yield await _build(builder, function)


async def _build(
    builder: WorkflowBuilder | PerUserWorkflowBuilder, function: str | None
) -> AnyWorkflow:
    return cast(AnyWorkflow, await builder.build(entry_function=function))  # pyright: ignore[reportUnknownMemberType] -- of unknown types


@contextmanager
def _our_logging(stack: AsyncExitStack) -> Generator[None]:
    # A builder with log handlers of its own changes the levels of those that are there, and leaves
    # its own open in the end.
    root = logging.getLogger()
    level, levels = root.level, {each: each.level for each in root.handlers}
    its_own: list[logging.Handler] = []
    stack.callback(lambda: [each.close() for each in its_own])
    yield
    its_own += [each for each in root.handlers if each not in levels]
    root.setLevel(level)
    for handler, before in levels.items():
        handler.setLevel(before)


# --- running ------------------------------------------------------------------------------------


def input_schema(workflow: AnyWorkflow) -> type[pydantic.BaseModel]:
    """What a workflow takes, as a model."""
    return cast(type[pydantic.BaseModel], workflow.input_schema)


async def result_of(runner: Runner) -> object:
    """Run a workflow, and return its one answer."""
    return await runner.result()


def stream_of(runner: Runner) -> AsyncGenerator[object]:
    """Run a workflow, and answer piece by piece."""
    return cast(AsyncGenerator[object], runner.result_stream())


def listen(hear: Callable[[IntermediateStep], None]) -> Callable[[], None]:
    """Hear the steps of the workflow that is run in this context; returns what ends that."""
    manager = Context.get().intermediate_step_manager
    return manager.subscribe(hear).unsubscribe  # pyright: ignore[reportUnknownMemberType] -- of unknown type


# --- what NAT says of a file --------------------------------------------------------------------


def _message(kind: str, message: str) -> str:
    if kind != "union_tag_invalid":
        return message
    said, _, known = message.partition(" found using")
    names = [each.strip(" '").rpartition("/")[2] for each in known.partition(": ")[2].split(",")]
    wanted = said.removeprefix("Input tag ")
    return (
        f"NAT has no type {wanted} here. It has: {', '.join(sorted(names))}. The package that "
        "brings it has to be installed, or its module imported (--import)."
    )


def _dotted(location: tuple[str | int, ...]) -> str:
    return ".".join(str(each) for each in location)
