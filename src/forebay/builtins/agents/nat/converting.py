"""Converting: what a caller sends into what a workflow takes, by NAT's converters; and back."""

from collections.abc import Iterator

import pydantic

from forebay.core.errors import FieldProblem, InvalidInput
from forebay.core.events import ModelFinished, ModelStarted, Usage
from forebay.core.json import Json

from .plain import plain, plain_text
from .steps import Steps
from .toolkit import (
    AnyWorkflow,
    ChatRequest,
    ChatResponse,
    ChatResponseChunk,
    ChatUsage,
    DecomposedType,
    Runner,
    input_schema,
)


def read_input(agent: str, workflow: AnyWorkflow, value: Json) -> object:
    """What the workflow is called with: the input, as NAT's own front end would read it.

    A text, an object as the workflow's schema has it, or a conversation as OpenAI's clients write
    it, whole or only its messages. Raises InvalidInput.
    """
    is_instance = DecomposedType(workflow.input_type).is_instance
    if isinstance(value, list) and not is_instance(value):
        return _conversation(agent, {"messages": value})
    if not isinstance(value, dict):
        return value
    schema = input_schema(workflow)
    try:
        return schema.model_validate(value)
    except pydantic.ValidationError as error:
        if is_instance(value):
            return value
        if "messages" in value and "messages" not in schema.model_fields:
            return _conversation(agent, value)
        raise _refusal(agent, error) from None


def check_input(agent: str, workflow: AnyWorkflow, runner: Runner, value: object) -> None:
    """Raises InvalidInput if NAT could not turn this into what the workflow takes."""
    wanted = workflow.input_type
    if value is None or DecomposedType(wanted).is_instance(value):
        return
    if isinstance(value, input_schema(workflow)):
        return
    try:
        runner.convert(value, workflow.input_class)
    except ValueError:
        name = getattr(wanted, "__name__", None) or str(wanted)
        raise InvalidInput(
            f"Agent {agent!r} takes a {name}, and NAT makes none of a {type(value).__name__}."
        ) from None


def _conversation(agent: str, value: dict[str, Json]) -> ChatRequest:
    try:
        return ChatRequest.model_validate(value)
    except pydantic.ValidationError as error:
        raise _refusal(agent, error) from None


def _refusal(agent: str, error: pydantic.ValidationError) -> InvalidInput:
    problems = [
        FieldProblem(("input", *each["loc"]), each["msg"], each["type"])
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    told = [
        f"{'.'.join(str(part) for part in each.location)}: {each.message}" for each in problems[:3]
    ]
    message = f"Agent {agent!r} does not take this input: {'; '.join(told)}"
    return InvalidInput(message, problems=problems)


# --- what it answers ----------------------------------------------------------------------------


class Answer:
    """The answer of a workflow, piece by piece."""

    def __init__(self) -> None:
        self._model = ""
        self._usage: ChatUsage | None = None

    def parts(self, piece: object) -> Iterator[Json]:
        """What of a piece belongs to the answer: texts, and values that are no text."""
        match piece:
            case ChatResponseChunk():
                self._take_note(piece.model, piece.usage)
                texts = [choice.delta.content for choice in piece.choices]
            case ChatResponse():
                self._take_note(piece.model, piece.usage)
                texts = [choice.message.content for choice in piece.choices]
            case str():
                texts = [piece]
            case _:
                yield plain(piece)
                return
        for text in texts:
            if text:
                yield plain_text(text)

    def say_usage(self, steps: Steps) -> None:
        """Tell what the answer says it has consumed, if no model has."""
        used = self._usage
        if steps.has_models or used is None or not (used.prompt_tokens or used.completion_tokens):
            return
        call = steps.new_call()
        steps.say(ModelStarted(call, self._model))
        usage = Usage(used.prompt_tokens or 0, used.completion_tokens or 0)
        steps.say(ModelFinished(call, usage))

    def _take_note(self, model: str, usage: ChatUsage | None) -> None:
        self._model = model
        self._usage = usage or self._usage
