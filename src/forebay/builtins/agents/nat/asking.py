"""Asking: a prompt of a workflow becomes a question of the run, and its answer what NAT expects."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from forebay.core.errors import QuestionTimedOut
from forebay.core.events import Option, Prompt
from forebay.core.json import Json
from forebay.ports.agent import Context

from .toolkit import interactive

_Choice: TypeAlias = interactive.BinaryHumanPromptOption | interactive.MultipleChoiceOption
_AnyChoice = TypeVar("_AnyChoice", bound=_Choice)
_CHOICES = (
    interactive.HumanPromptBinary
    | interactive.HumanPromptRadio
    | interactive.HumanPromptCheckbox
    | interactive.HumanPromptDropdown
)
_SEVERAL = ", "

Ask: TypeAlias = Callable[[interactive.InteractionPrompt], Awaitable[interactive.HumanResponse]]


def asks(ctx: Context) -> Ask:
    """What NAT calls when a workflow asks a person."""
    loop = asyncio.get_running_loop()

    async def ask(interaction: interactive.InteractionPrompt) -> interactive.HumanResponse:
        prompt = _prompt_of(interaction.content)
        question = ctx.ask(prompt)
        try:
            if asyncio.get_running_loop() is loop:
                answer = await question
            else:  # a tool that blocks has made itself an event loop
                there = asyncio.run_coroutine_threadsafe(question, loop)
                answer = await asyncio.wrap_future(there)
        except QuestionTimedOut as error:
            raise TimeoutError(
                f"HITL prompt timed out after {prompt.timeout_seconds:g}s waiting for human "
                "response"
            ) from error
        return _response(interaction.content, answer)

    return ask


def _prompt_of(asked: interactive.HumanPrompt) -> Prompt:
    kind = str(asked.input_type)
    match asked:
        case interactive.HumanPromptText():
            return Prompt(asked.text, kind, (), asked.placeholder, asked.required, asked.timeout)
        case _ if isinstance(asked, _CHOICES):
            options = _options(asked.options)
            return Prompt(asked.text, kind, options, timeout_seconds=asked.timeout)
        case interactive.HumanPromptNotification():
            return Prompt(asked.text, kind)
        case _:
            raise NotImplementedError(f"Forebay cannot put a prompt of kind {kind!r} to anybody.")


def _options(choices: Sequence[_Choice]) -> tuple[Option, ...]:
    # NAT does not mind two with the same id; whoever answers has to tell them apart.
    seen: set[str] = set()
    options: list[Option] = []
    for number, choice in enumerate(choices, 1):
        name = choice.id if choice.id not in seen else f"{choice.id}-{number}"
        seen.add(name)
        text = choice.description if isinstance(choice, interactive.MultipleChoiceOption) else ""
        options.append(Option(name, choice.label, str(choice.value), text))
    return tuple(options)


def _response(asked: interactive.HumanPrompt, answer: Json) -> interactive.HumanResponse:
    match asked:
        case interactive.HumanPromptText():
            return interactive.HumanResponseText(text=str(answer))
        case interactive.HumanPromptBinary():
            chosen = _chosen(asked.options, answer)
            return interactive.HumanResponseBinary(
                selected_option=chosen[0] if chosen else interactive.BinaryHumanPromptOption()
            )
        case interactive.HumanPromptRadio():
            return interactive.HumanResponseRadio(selected_option=_one(asked.options, answer))
        case interactive.HumanPromptDropdown():
            return interactive.HumanResponseDropdown(selected_option=_one(asked.options, answer))
        case interactive.HumanPromptCheckbox():
            return interactive.HumanResponseCheckbox(selected_option=_one(asked.options, answer))
        case _:
            return interactive.HumanResponseNotification()


def _one(
    options: Sequence[interactive.MultipleChoiceOption], answer: Json
) -> interactive.MultipleChoiceOption:
    """The chosen option. NAT's answers have room for one: several stand in it together."""
    chosen = _chosen(options, answer)
    if len(chosen) == 1:
        return chosen[0]
    return interactive.MultipleChoiceOption(
        id=_joined(each.id for each in chosen),
        label=_joined(each.label for each in chosen),
        value=_joined(each.value for each in chosen),
        description=_joined(each.description for each in chosen),
    )


def _joined(texts: Iterable[str]) -> str:
    return _SEVERAL.join(texts)


def _chosen(options: Sequence[_AnyChoice], answer: Json) -> list[_AnyChoice]:
    values = answer if isinstance(answer, list) else [answer]
    first = {str(option.value): option for option in reversed(options)}
    return [first[value] for value in values if isinstance(value, str) and value in first]
