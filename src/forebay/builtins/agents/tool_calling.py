"""tool_calling_agent: a model that calls tools by itself, until it answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pydantic
from pydantic import ConfigDict, Field

from forebay.authoring import FunctionAgent
from forebay.authoring.acting import MAX_TOOL_FAILURES, Limits, Loop, Offer, specs_of
from forebay.core.errors import MalformedReply
from forebay.core.messages import ChatMessage, Reply, ToolSpec
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry

from .conversation import AgentConfig, Conversation, agent_of

_INCREMENT = 1024


class TruncationRetry(pydantic.BaseModel):
    """How often a reply that is cut off is asked for again, and with how many more tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_retries: int = Field(default=0, ge=0)
    token_increment: int | None = Field(default=None, gt=0)
    token_scaling: float | None = Field(default=None, gt=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> "TruncationRetry":
        if self.token_increment is not None and self.token_scaling is not None:
            raise ValueError("Give `token_increment` or `token_scaling`, not both.")
        return self

    def more_than(self, tokens: int) -> int:
        """The limit of the next try."""
        if self.token_scaling is not None:
            return int(tokens * self.token_scaling) + 1
        return tokens + (self.token_increment or _INCREMENT)


class ToolCallingConfig(AgentConfig):
    """What a workflow file says of it."""

    description: str = "Answers with a language model that may call tools"
    tool_names: list[str] = Field(min_length=1, json_schema_extra={"refers_to": "functions"})
    handle_tool_errors: bool = True
    max_iterations: int = Field(default=15, ge=1)
    max_history: int = Field(default=15, ge=1)
    truncation_retry: TruncationRetry = TruncationRetry()
    max_empty_response_retries: int = Field(default=0, ge=0)
    system_prompt: str | None = None
    additional_instructions: str | None = None
    return_direct: list[str] | None = Field(
        default=None, json_schema_extra={"refers_to": "functions"}
    )


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_function("tool_calling_agent", ToolCallingConfig, _build)


def _build(name: str, config: ToolCallingConfig, parts: Parts) -> FunctionAgent:
    del parts
    limits = Limits(
        config.max_iterations,
        MAX_TOOL_FAILURES if config.handle_tool_errors else 0,
        "max_iterations",
        "handle_tool_errors",
    )
    direct = tuple(
        form for each in config.return_direct or () for form in (each, each.replace(".", "__"))
    )

    async def answer(ctx: Context, conversation: Conversation) -> None:
        specs = await specs_of(ctx, config.tool_names)
        offer = Offer.of(specs)
        loop = Loop(ctx, _Ask(ctx, config), offer, limits, direct=_named(specs, direct))
        recent = conversation.recent(config.max_history)
        await loop.run(recent.told(config.system_prompt, config.additional_instructions))

    return agent_of(name, config.description, answer)


def _named(specs: Sequence[ToolSpec], names: Sequence[str]) -> frozenset[str]:
    """The tools that these names stand for: a group is all of its tools."""
    groups = tuple(f"{name}__" for name in names)
    return frozenset(
        spec.name for spec in specs if spec.name in names or spec.name.startswith(groups)
    )


@dataclass(frozen=True, slots=True)
class _Ask:
    """Asks the model once more when it has said nothing, or too much."""

    ctx: Context
    config: ToolCallingConfig

    async def __call__(self, messages: Sequence[ChatMessage], specs: Sequence[ToolSpec]) -> Reply:
        retry = self.config.truncation_retry
        cuts, silences, tokens = retry.max_retries, self.config.max_empty_response_retries, None
        while True:
            reply = await self.ctx.chat(
                messages,
                model=self.config.llm_name,
                tools=specs,
                say=not retry.max_retries,  # what may be said once more is not said before
                max_tokens=tokens,
            )
            if reply.finish == "length" and cuts:
                cuts -= 1
                tokens = retry.more_than(tokens or _tokens_in(reply))
            elif not reply.tool_calls and not reply.text.strip() and silences:
                silences -= 1
            else:
                break
        if not reply.tool_calls and not reply.text.strip():
            raise MalformedReply(
                f"The model {reply.model!r} has answered with nothing (max_empty_response_retries)."
            )
        if retry.max_retries:
            self.ctx.say(reply.text)
        return reply


def _tokens_in(reply: Reply) -> int:
    return reply.usage.output_tokens if reply.usage and reply.usage.output_tokens else _INCREMENT
