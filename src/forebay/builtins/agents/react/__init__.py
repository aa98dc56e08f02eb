"""react_agent: a model that thinks aloud in text, and uses tools by writing what it wants done."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import AliasChoices, Field, field_validator

from forebay.authoring import FunctionAgent
from forebay.authoring.acting import (
    MAX_TOOL_FAILURES,
    Limits,
    Loop,
    Offer,
    Outcome,
    Patience,
    specs_of,
    unknown,
    unreadable,
    use,
)
from forebay.builtins.agents.conversation import AgentConfig, Conversation, agent_of
from forebay.builtins.agents.prompts import check_places, filled
from forebay.builtins.agents.tool_input import arguments_of
from forebay.core.clock import Clock
from forebay.core.codec import encode_json
from forebay.core.errors import (
    MalformedReply,
    ModelError,
    ModelRefused,
    StepFailed,
    ToolUnavailable,
)
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, Reply, ToolSpec
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry

from .text import OBSERVATION, Action, Final, Unclear, answer_start, parse

_SYSTEM_PROMPT = """\
Answer the user as well as you can. You may use these tools:

{tools}

Write in one of two forms, and nothing else. To use a tool:

Thought: what you know, and what you need next
Action: the name of the tool, one of {tool_names}
Action Input: a JSON object with what the tool needs

Then stop. You will be told what the tool returns in a message that begins with "Observation:". \
Never write that yourself. When you can answer, or when no tool helps:

Thought: why you can answer now
Final Answer: your answer to the user
"""

_LONGEST_PAUSE_SECONDS = 30.0


class ReactConfig(AgentConfig):
    """What a workflow file says of it."""

    description: str = "Answers with a language model that thinks aloud and may use tools"
    tool_names: list[str] = Field(min_length=1, json_schema_extra={"refers_to": "functions"})
    retry_agent_response_parsing_errors: bool = Field(
        default=True,
        validation_alias=AliasChoices(
            "retry_agent_response_parsing_errors", "retry_parsing_errors"
        ),
    )
    parse_agent_response_max_retries: int = Field(
        default=1,
        ge=0,
        validation_alias=AliasChoices("parse_agent_response_max_retries", "max_retries"),
    )
    tool_call_max_retries: int = Field(default=1, ge=0)
    max_tool_calls: int = Field(
        default=15, ge=1, validation_alias=AliasChoices("max_tool_calls", "max_iterations")
    )
    pass_tool_call_errors_to_agent: bool = True
    raise_on_parsing_failure: bool = True
    include_tool_input_schema_in_tool_description: bool = True
    normalize_tool_input_quotes: bool = True
    use_native_tool_calling: bool = False
    system_prompt: str | None = None
    max_history: int = Field(default=15, ge=1)
    additional_instructions: str | None = None
    optimizable_params: list[str] = Field(default=[], json_schema_extra={"has_effect": False})
    search_space: dict[str, Json] = Field(default={}, json_schema_extra={"has_effect": False})

    @field_validator("system_prompt")
    @classmethod
    def _check_prompt(cls, prompt: str | None) -> str | None:
        return prompt and check_places(prompt, "tools", "tool_names")

    @property
    def limits(self) -> Limits:
        """When to give up."""
        failures = MAX_TOOL_FAILURES if self.pass_tool_call_errors_to_agent else 0
        return Limits(
            self.max_tool_calls, failures, "max_tool_calls", "pass_tool_call_errors_to_agent"
        )


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_function("react_agent", ReactConfig, _build)


def _build(name: str, config: ReactConfig, parts: Parts) -> FunctionAgent:
    async def answer(ctx: Context, conversation: Conversation) -> None:
        offer = Offer.of(await specs_of(ctx, config.tool_names))
        prompt = _prompt(config, offer)
        messages = conversation.recent(config.max_history).told(
            prompt, config.additional_instructions
        )
        if config.use_native_tool_calling:
            await _call_natively(ctx, config, offer, messages)
        else:
            await _Thinking(ctx, config, offer, parts.clock, messages).run()

    return agent_of(name, config.description, answer)


def _prompt(config: ReactConfig, offer: Offer) -> str | None:
    if config.system_prompt is None and config.use_native_tool_calling:
        return None
    with_schema = config.include_tool_input_schema_in_tool_description
    tools = "\n".join(_described(spec, with_schema=with_schema) for spec in offer.specs)
    prompt = config.system_prompt or _SYSTEM_PROMPT
    return filled(prompt, {"tools": tools, "tool_names": ", ".join(offer.names)})


def _described(spec: ToolSpec, *, with_schema: bool) -> str:
    line = f"{spec.name}: {' '.join(spec.description.split())}"
    return f"{line} Its input: {encode_json(spec.parameters).decode()}" if with_schema else line


async def _call_natively(
    ctx: Context, config: ReactConfig, offer: Offer, messages: Sequence[ChatMessage]
) -> None:
    async def ask(messages: Sequence[ChatMessage], specs: Sequence[ToolSpec]) -> Reply:
        return await ctx.chat(messages, model=config.llm_name, tools=specs, say=True)

    await Loop(ctx, ask, offer, config.limits).run(messages)


@dataclass(slots=True)
class _Thinking:
    """One question, and everything that was thought and observed about it."""

    ctx: Context
    config: ReactConfig
    offer: Offer
    clock: Clock
    messages: list[ChatMessage]
    stops: tuple[str, ...] = (OBSERVATION,)

    async def run(self) -> None:
        patience = Patience(self.config.limits.max_tool_failures, self.config.limits.failures_name)
        calls = 0
        while True:
            step = await self._think()
            if isinstance(step, Final):
                if not step.is_marked:  # else it was said as it came
                    self.ctx.say(step.text)
                return
            calls += 1
            if calls > self.config.max_tool_calls:
                raise ModelError(
                    f"The model wants to use a tool again and gives no answer, after "
                    f"{self.config.max_tool_calls} calls (max_tool_calls)."
                )
            outcome = await self._act(step)
            patience.hear([outcome])
            self.messages += [
                ChatMessage("assistant", step.text),
                ChatMessage("user", f"{OBSERVATION} {outcome.text}"),
            ]

    async def _think(self) -> Action | Final:
        """What the model wants. What it wrote in no form is forgotten when it has done better."""
        config = self.config
        tries = config.retry_agent_response_parsing_errors * config.parse_agent_response_max_retries
        messages = list(self.messages)
        while True:
            reply = await self._ask(messages)
            try:
                return parse(reply.text)
            except Unclear as problem:
                if tries == 0:
                    return self._give_up(reply, problem)
                tries -= 1
                if reply.text.strip():
                    messages.append(ChatMessage("assistant", reply.text))
                messages.append(ChatMessage("user", str(problem)))

    def _give_up(self, reply: Reply, problem: Unclear) -> Final:
        if self.config.raise_on_parsing_failure:
            raise MalformedReply(
                f"The model {reply.model!r} does not write in the form it is asked for "
                f"(parse_agent_response_max_retries). {problem}"
            ) from problem
        return Final(reply.text.strip() or str(problem), is_marked=False)

    async def _ask(self, messages: Sequence[ChatMessage]) -> Reply:
        try:
            return await self._chat(messages)
        except ModelRefused as refused:
            if not self.stops or "stop" not in refused.message:
                raise
        self.stops = ()  # some models take none; the parser cuts what is too much
        return await self._chat(messages)

    async def _chat(self, messages: Sequence[ChatMessage]) -> Reply:
        return await self.ctx.chat(
            messages, model=self.config.llm_name, stop=self.stops, say=answer_start
        )

    async def _act(self, action: Action) -> Outcome:
        name = self._tool(action.tool)
        if name is None:
            return unknown(action.tool, self.offer)
        tool = self.offer.names[name]
        spec = next(spec for spec in self.offer.specs if spec.name == name)
        try:
            arguments = arguments_of(
                action.input, spec, fix_quotes=self.config.normalize_tool_input_quotes
            )
        except ValueError as error:
            return unreadable(tool, action.input, str(error))
        tries = max(1, self.config.tool_call_max_retries)
        for number in range(1, tries):
            outcome = await use(self.ctx, tool, arguments)
            if not isinstance(outcome.error, StepFailed | ToolUnavailable):
                return outcome
            await self.clock.sleep(min(2.0**number, _LONGEST_PAUSE_SECONDS))
        return await use(self.ctx, tool, arguments)

    def _tool(self, name: str) -> str | None:
        """The tool that is meant: models write `the search tool`, or `Search`."""
        names = self.offer.names
        exact = [each for each, real in names.items() if name in (each, real)]
        near = [each for each in names if each.lower() == name.lower()]
        inside = [each for each in names if each in name.replace("`", " ").split()]
        for found in (exact, near, inside):
            if len(found) == 1:
                return found[0]
        return None
