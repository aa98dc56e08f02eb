"""A NAT plugin with what the probe lacks. Only NAT's loader may import it: it imports NAT."""

# NAT has no stubs: its annotations are read from its sources.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nat.builder.builder import Builder
from nat.builder.context import Context
from nat.builder.function_info import FunctionInfo
from nat.cli.register_workflow import register_function
from nat.data_models.function import FunctionBaseConfig
from nat.data_models.interactive import (
    HumanPromptRadio,
    HumanPromptText,
    HumanResponseRadio,
    HumanResponseText,
    MultipleChoiceOption,
)
from nat.data_models.intermediate_step import (
    IntermediateStepPayload,
    IntermediateStepType,
    StreamEventData,
)
from pydantic import BaseModel, SecretStr

from . import signals


class Thing(BaseModel):
    name: str
    at: str


class Odd:
    def __str__(self) -> str:
        return "an odd thing"


_SHAPES: dict[str, Any] = {
    "model": Thing(name="x", at="2026-01-01"),
    "number": 5,
    "odd": Odd(),
    "nothing": None,
}


class ShapesConfig(FunctionBaseConfig, name="shapes"):
    pass


@register_function(config_type=ShapesConfig)
async def shapes(config: ShapesConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    del config, builder

    async def shape(name: str) -> Any:
        return _SHAPES[name]

    yield FunctionInfo.from_fn(shape, description="Answers with things of every shape")


class CallsAdderConfig(FunctionBaseConfig, name="calls_adder"):
    adder: str = "adder"


@register_function(config_type=CallsAdderConfig)
async def calls_adder(config: CallsAdderConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    adder = await builder.get_function(config.adder)

    async def call(text: str) -> str:
        await adder.ainvoke(text)
        steps = Context.get().intermediate_step_manager

        def step(kind: IntermediateStepType, data: StreamEventData) -> None:
            steps.push_intermediate_step(
                IntermediateStepPayload(event_type=kind, UUID="t", name="adder", data=data)
            )

        # As a framework does that tells of its tools, when one of them is a function of NAT's.
        step(IntermediateStepType.TOOL_START, StreamEventData(input="told by its framework"))
        output = await adder.ainvoke(text)
        step(IntermediateStepType.TOOL_END, StreamEventData(output=output))
        return output

    yield FunctionInfo.from_fn(call, description="Calls another function")


class WaitsConfig(FunctionBaseConfig, name="waits"):
    pieces: int = 0


@register_function(config_type=WaitsConfig)
async def waits(config: WaitsConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    del builder
    signals.opened.append("waits")

    async def single(text: str) -> str:
        async with _noted("single"):
            signals.reached.set()
            await asyncio.Event().wait()
        return text

    async def stream(text: str) -> AsyncGenerator[str]:
        async with _noted("stream"):
            for number in range(config.pieces):
                yield f"{text}{number} "
            signals.reached.set()
            await asyncio.Event().wait()

    yield FunctionInfo.create(single_fn=single, stream_fn=stream, description="Waits for ever")
    signals.closed.append("waits")


@asynccontextmanager
async def _noted(what: str) -> AsyncGenerator[None]:
    signals.under_way += 1
    try:
        yield
    finally:
        signals.ended.append(f"{what} in {signals.task_name()}")


class PickyConfig(FunctionBaseConfig, name="picky"):
    key: SecretStr = SecretStr("")
    fails: str = "no"


@register_function(config_type=PickyConfig)
async def picky(config: PickyConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    del builder
    signals.built += 1
    key = config.key.get_secret_value()
    if config.fails == "lasting":
        raise ValueError(f"the key {key} is wrong")
    if config.fails == "passing" and signals.is_down:
        raise ConnectionError("the server of the tools cannot be reached")

    async def use(text: str) -> str:
        if text == "tell":
            raise LookupError(f"401: {key} is not known")
        return f"used with {text}"

    yield FunctionInfo.from_fn(use, description="Needs a key")


class BlocksConfig(FunctionBaseConfig, name="blocks"):
    pass


@register_function(config_type=BlocksConfig)
async def blocks(config: BlocksConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    del config, builder

    async def call(text: str) -> str:
        steps = Context.get().intermediate_step_manager

        def in_a_thread() -> None:
            for kind in (IntermediateStepType.TOOL_START, IntermediateStepType.TOOL_END):
                data = StreamEventData(input=text, output="\ud800")
                steps.push_intermediate_step(
                    IntermediateStepPayload(event_type=kind, UUID="t", name="tool", data=data)
                )

        await asyncio.to_thread(in_a_thread)
        await asyncio.sleep(0)
        return text

    yield FunctionInfo.from_fn(call, description="Uses a tool in a thread")


class AsksTwinsConfig(FunctionBaseConfig, name="asks_twins"):
    pass


@register_function(config_type=AsksTwinsConfig)
async def asks_twins(config: AsksTwinsConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    del config, builder

    async def ask(text: str) -> str:
        options = [MultipleChoiceOption(label=each, value=each, description="") for each in "ab"]
        prompt = HumanPromptRadio(text=text, options=options)
        answer = await Context.get().user_interaction_manager.prompt_user_input(prompt)
        assert isinstance(answer.content, HumanResponseRadio)
        return answer.content.selected_option.value

    yield FunctionInfo.from_fn(ask, description="Offers two options without ids")


class AsksFromAThreadConfig(FunctionBaseConfig, name="asks_from_a_thread"):
    pass


@register_function(config_type=AsksFromAThreadConfig)
async def asks_from_a_thread(
    config: AsksFromAThreadConfig, builder: Builder
) -> AsyncIterator[FunctionInfo]:
    del config, builder

    async def prompted(text: str) -> str:
        prompt = HumanPromptText(text=text)
        answer = await Context.get().user_interaction_manager.prompt_user_input(prompt)
        assert isinstance(answer.content, HumanResponseText)
        return answer.content.text

    async def ask(text: str) -> str:
        return await asyncio.to_thread(lambda: asyncio.run(prompted(text)))

    yield FunctionInfo.from_fn(ask, description="Asks from an event loop of its own")
