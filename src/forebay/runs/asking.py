"""Asking people: a question is recorded once, and its answer counts in every attempt."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from forebay.core.clock import Clock, Millis
from forebay.core.codec import encode_json
from forebay.core.errors import InvalidPrompt, QuestionTimedOut, RunFinished
from forebay.core.events import Option, Prompt, QuestionAnswered, QuestionAsked
from forebay.core.json import Json
from forebay.core.prompts import check_answer, check_prompt

from .attempt import Attempt
from .scopes import Scope, Try, digest


async def ask(attempt: Attempt, clock: Clock, scope: Scope, prompt: Prompt) -> Json:
    """The answer to a prompt. Raises InvalidPrompt, QuestionTimedOut."""
    check_prompt(prompt)
    if attempt.parting is not None or attempt.is_closing:
        raise RunFinished("The run was ended from outside.")
    scope.check()
    name = scope.name("question", prompt.kind, digest(encode_json(prompt)))
    journal = attempt.journal
    if prompt.kind == "notification":
        if journal.asked(name) is None:
            asked = QuestionAsked(name, prompt)
            attempt.recorder.record(asked)
            journal.remember(asked)
        return None
    outcome = journal.answer(name)
    if outcome is None:
        with _waiting(attempt, scope.within_try):
            outcome = await attempt.ask(journal.asked(name) or _question(name, prompt, clock))
        journal.remember(outcome)
    if isinstance(outcome, QuestionAnswered):
        return outcome.answer
    if prompt.default is None:
        raise QuestionTimedOut(f"Nobody answered in time: {prompt.text}")
    return check_answer(prompt, prompt.default)


def _question(name: str, prompt: Prompt, clock: Clock) -> QuestionAsked:
    limit = prompt.timeout_seconds
    due = None if limit is None else Millis(clock.now() + int(limit * 1000))
    return QuestionAsked(name, prompt, due)


@contextmanager
def _waiting(attempt: Attempt, within_try: Try | None) -> Generator[None]:
    # A step that waits for an answer need not keep its run from waiting without a worker.
    for each in _around(within_try):
        each.asking += 1
        attempt.steps_in_flight -= each.asking == 1
    try:
        yield
    finally:
        for each in _around(within_try):
            each.asking -= 1
            attempt.steps_in_flight += each.asking == 0


def _around(within_try: Try | None) -> Generator[Try]:
    while within_try is not None:
        yield within_try
        within_try = within_try.outer


def prompt_of(  # noqa: PLR0913 -- the fields of a prompt
    prompt: str | Prompt,
    *,
    kind: str,
    options: Sequence[str | Option | Mapping[str, str]],
    timeout_seconds: float | None,
    default: Json,
    placeholder: str | None,
    required: bool,
) -> Prompt:
    """A prompt of what `ctx.ask` is called with. Raises InvalidPrompt.

    A text as an option is all there is of it.
    """
    if isinstance(prompt, Prompt):
        return prompt
    return Prompt(
        prompt,
        kind,
        tuple(_option(each) for each in options),
        placeholder,
        required,
        timeout_seconds,
        default,
    )


def _option(given: str | Option | Mapping[str, str]) -> Option:
    if isinstance(given, str):
        return Option(given, given, given)
    try:
        return msgspec.convert(given, Option)
    except msgspec.ValidationError as error:
        raise InvalidPrompt(f"An option has an id, a label and a value: {error}.") from error
