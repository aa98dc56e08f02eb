"""Prompts and answers: what can be asked, and what answers it. Pure.

An answer that was accepted is plain: the text, the value of the chosen option, or a list of values.
"""

from .errors import FieldProblem, InvalidAnswer, InvalidPrompt
from .events import Option, Prompt
from .json import Json

_FEWEST_OPTIONS = {
    "text": 0,
    "notification": 0,
    "binary_choice": 2,
    "radio": 1,
    "checkbox": 1,
    "dropdown": 1,
}
_MOST_OPTIONS = {"text": 0, "notification": 0, "binary_choice": 2}


def check_prompt(prompt: Prompt) -> None:
    """Raises InvalidPrompt if nobody could answer this."""
    fewest = _FEWEST_OPTIONS.get(prompt.kind)
    if fewest is None:
        kinds = ", ".join(_FEWEST_OPTIONS)
        raise InvalidPrompt(f"There is no prompt of kind {prompt.kind!r}: choose one of {kinds}.")
    most = _MOST_OPTIONS.get(prompt.kind)
    count = len(prompt.options)
    if count < fewest or (most is not None and count > most):
        wanted = f"exactly {most}" if most == fewest else f"at least {fewest}"
        options = "options" if fewest != 1 else "option"
        raise InvalidPrompt(f"A {prompt.kind} prompt has {wanted} {options}, not {count}.")
    if len({option.id for option in prompt.options}) < count:
        raise InvalidPrompt("Two options of a prompt have the same id.")
    if prompt.timeout_seconds is not None and not prompt.timeout_seconds > 0:
        raise InvalidPrompt("The time-out of a prompt is more than 0 seconds.")
    _check_default(prompt)


def _check_default(prompt: Prompt) -> None:
    if prompt.default is None:
        return
    if prompt.kind == "notification":
        raise InvalidPrompt("A notification has no default: nobody answers it.")
    try:
        check_answer(prompt, prompt.default)
    except InvalidAnswer as error:
        raise InvalidPrompt(f"The default of a prompt has to answer it. {error.message}") from error


def check_answer(prompt: Prompt, answer: Json) -> Json:
    """The answer as the agent gets it. Raises InvalidAnswer.

    A choice is given by an option's id or value, or as an object with its `id` or `value`; for a
    checkbox also as a list of them.
    """
    match prompt.kind:
        case "text":
            return _text(prompt, answer)
        case "checkbox":
            return _several(prompt, answer)
        case "notification":
            raise _invalid("A notification takes no answer.")
        case _:
            return None if answer is None and not prompt.required else _one(prompt, answer)


def _text(prompt: Prompt, answer: Json) -> str:
    if answer is None and not prompt.required:
        return ""
    if not isinstance(answer, str):
        raise _invalid("This question takes text.")
    if prompt.required and not answer.strip():
        raise _invalid("This question needs an answer that is not empty.")
    return answer


def _several(prompt: Prompt, answer: Json) -> list[Json]:
    chosen = answer if isinstance(answer, list) else [] if answer is None else [answer]
    if prompt.required and not chosen:
        raise _invalid("This question needs at least one of its options.")
    return list(dict.fromkeys(_one(prompt, each) for each in chosen))


def _one(prompt: Prompt, answer: Json) -> str:
    option = _option_by(prompt, answer)
    if option is None:
        offered = ", ".join(repr(option.id) for option in prompt.options)
        raise _invalid(f"This question takes one of its options: {offered}.")
    return option.value


def _option_by(prompt: Prompt, answer: Json) -> Option | None:
    if isinstance(answer, dict):
        names = [answer.get("id"), answer.get("value")]
    else:
        names = [answer, answer]
    for option in prompt.options:
        if option.id == names[0]:
            return option
    for option in prompt.options:
        if option.value == names[1]:
            return option
    return None


def _invalid(message: str) -> InvalidAnswer:
    return InvalidAnswer(message, problems=[FieldProblem(("answer",), message, "invalid_answer")])
