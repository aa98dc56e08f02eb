"""chat_completion: a model that is told the conversation, and answers."""

from pydantic import Field

from forebay.authoring import FunctionAgent
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry

from .conversation import Conversation, FunctionConfig, agent_of

_SYSTEM_PROMPT = (
    "You help the person you talk to. Answer clearly and correctly, and say so when you do not "
    "know something."
)


class ChatCompletionConfig(FunctionConfig):
    """What a workflow file says of it."""

    llm_name: str = Field(json_schema_extra={"refers_to": "llms"})
    system_prompt: str = _SYSTEM_PROMPT
    description: str = "Answers with a language model"


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_function("chat_completion", ChatCompletionConfig, _build)


def _build(name: str, config: ChatCompletionConfig, parts: Parts) -> FunctionAgent:
    del parts

    async def answer(ctx: Context, conversation: Conversation) -> None:
        messages = conversation.told(config.system_prompt)
        await ctx.chat(messages, model=config.llm_name, say=True)

    return agent_of(name, config.description, answer)
