"""router_agent: a model chooses which function answers, and that one answers."""

import re
from collections.abc import Sequence

from pydantic import Field, field_validator

from forebay.authoring import FunctionAgent
from forebay.authoring.acting import as_text, specs_of
from forebay.core.errors import InvalidInput, ModelError, ToolNotGranted
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ToolSpec
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry

from .branches import agent_of_name, answer_with
from .conversation import AgentConfig, Conversation, agent_of
from .prompts import check_places, filled

_SYSTEM_PROMPT = """\
You decide who answers a request. These can answer:

{branches}

Choose the one that fits the request best. Write its name and nothing else, one of: {branch_names}
"""

_USER_PROMPT = """\
What was said before:
{chat_history}

The request:
{request}
"""


class RouterConfig(AgentConfig):
    """What a workflow file says of it."""

    description: str = "Lets a language model choose which function answers"
    branches: list[str] = Field(min_length=1, json_schema_extra={"refers_to": "functions"})
    system_prompt: str | None = None
    user_prompt: str | None = None
    max_router_retries: int = Field(default=3, ge=0)

    @field_validator("system_prompt")
    @classmethod
    def _check_system_prompt(cls, prompt: str | None) -> str | None:
        return prompt and check_places(prompt, "branches", "branch_names")

    @field_validator("user_prompt")
    @classmethod
    def _check_user_prompt(cls, prompt: str | None) -> str | None:
        return prompt and check_places(prompt, "chat_history", "request")


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_function("router_agent", RouterConfig, _build)


def _build(name: str, config: RouterConfig, parts: Parts) -> FunctionAgent:
    async def answer(ctx: Context, conversation: Conversation) -> None:
        specs = await specs_of(ctx, config.branches)
        if not specs:
            raise ToolNotGranted("This run may use none of the functions that could answer.")
        chosen = await _choose(ctx, config, specs, conversation)
        value = _told(parts, chosen, conversation)
        ctx.say(as_text(await answer_with(ctx, parts, chosen, value)))

    return agent_of(name, config.description, answer)


async def _choose(
    ctx: Context, config: RouterConfig, specs: Sequence[ToolSpec], conversation: Conversation
) -> ToolSpec:
    if len(specs) == 1:
        return specs[0]
    messages = _messages(config, specs, conversation)
    for _ in range(config.max_router_retries + 1):
        reply = await ctx.chat(messages, model=config.llm_name)
        name = choice_in(reply.text, [spec.name for spec in specs])
        if name is not None:
            return next(spec for spec in specs if spec.name == name)
        names = ", ".join(spec.name for spec in specs)
        messages += [
            ChatMessage("assistant", reply.text or "(nothing)"),
            ChatMessage("user", f"Write one of these names and nothing else: {names}"),
        ]
    raise ModelError(
        f"The model {config.llm_name!r} has chosen none of {', '.join(config.branches)} "
        f"(max_router_retries)."
    )


def _messages(
    config: RouterConfig, specs: Sequence[ToolSpec], conversation: Conversation
) -> list[ChatMessage]:
    branches = "\n".join(f"{spec.name}: {' '.join(spec.description.split())}" for spec in specs)
    names = ", ".join(spec.name for spec in specs)
    system = filled(
        config.system_prompt or _SYSTEM_PROMPT, {"branches": branches, "branch_names": names}
    )
    before = [each for each in conversation.messages if each.role in ("user", "assistant")][:-1]
    history = "\n".join(f"{each.role}: {each.text}" for each in before) or "(nothing)"
    user = filled(
        config.user_prompt or _USER_PROMPT,
        {"chat_history": history, "request": conversation.question},
    )
    return [ChatMessage("system", system), ChatMessage("user", user)]


def choice_in(text: str, names: Sequence[str]) -> str | None:
    """The one name that a reply contains, or begins or ends with if there are several."""
    text = text.rpartition("</think>")[2]
    found = {name: _mentions(name, text) for name in names}
    mentioned = [name for name in names if found[name]]
    if len(mentioned) < 2:
        return mentioned[0] if mentioned else None
    lines = [_bare(line) for line in text.splitlines() if _bare(line)]
    alone = [name for name in mentioned if _bare(name) in (lines[0], lines[-1])]
    return alone[0] if len(alone) == 1 else None


def _mentions(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE) is not None


def _bare(line: str) -> str:
    return line.strip(" \t`'\"*_.:").lower()


def _told(parts: Parts, chosen: ToolSpec, conversation: Conversation) -> Json:
    """What the chosen one gets: an agent that can take it the conversation, others the request."""
    agent = agent_of_name(parts, chosen.name)
    messages: list[Json] = [
        {"role": each.role, "content": each.text}
        for each in conversation.messages
        if each.role != "tool" and not each.tool_calls
    ]
    if agent is not None and len(messages) > 1:
        try:
            agent.read_input(messages)
        except InvalidInput:
            pass
        else:
            return messages
    return conversation.question
