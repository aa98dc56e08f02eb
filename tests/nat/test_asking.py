"""Prompts of a NAT workflow are questions of the run, and its answers what NAT's models hold."""

import json

import pytest

from forebay.core.events import (
    Option,
    OutputRestarted,
    Prompt,
    QuestionAsked,
    RunFailed,
    RunSucceeded,
)
from forebay.core.json import Json
from tests.support.attempts import Log

from .conftest import Asked, Bench, answer_of, told

EMAIL = Option("email", "Email", "email", "by email")
SMS = Option("sms", "Sms", "sms", "by sms")
YES = Option("continue", "Continue", "continue")
NO = Option("cancel", "Cancel", "cancel")


def asks(answer: Json) -> Asked:
    return Asked(answer=lambda prompt: answer)


def answered(log: Log) -> Json:
    """What the workflow has been answered."""
    return json.loads(answer_of(log).removeprefix("before answered: "))


@pytest.mark.parametrize(
    ("kind", "prompt", "answer", "expected"),
    [
        (
            "text",
            Prompt("What is your name?", "text", placeholder="name"),
            "Bob",
            {"type": "text", "text": "Bob"},
        ),
        (
            "binary",
            Prompt("Continue?", "binary_choice", (YES, NO)),
            "cancel",
            {
                "type": "binary_choice",
                "selected_option": {"id": "cancel", "label": "Cancel", "value": "cancel"},
            },
        ),
        (
            "radio",
            Prompt("Pick one", "radio", (EMAIL, SMS)),
            "sms",
            {
                "type": "radio",
                "selected_option": {
                    "id": "sms",
                    "label": "Sms",
                    "value": "sms",
                    "description": "by sms",
                },
            },
        ),
        (
            "dropdown",
            Prompt("Pick from list", "dropdown", (EMAIL, SMS)),
            "email",
            {
                "type": "dropdown",
                "selected_option": {
                    "id": "email",
                    "label": "Email",
                    "value": "email",
                    "description": "by email",
                },
            },
        ),
        (
            "checkbox",
            Prompt("Pick many", "checkbox", (EMAIL, SMS)),
            ["email", "sms"],
            {
                "type": "checkbox",
                "selected_option": {
                    "id": "email, sms",
                    "label": "Email, Sms",
                    "value": "email, sms",
                    "description": "by email, by sms",
                },
            },
        ),
        (
            "notification",
            Prompt("Just so you know", "notification"),
            None,
            {"type": "notification", "text": "Notification acknowledgement."},
        ),
    ],
)
async def test_every_kind_of_prompt_is_asked_and_answered(
    bench: Bench, kind: str, prompt: Prompt, answer: Json, expected: Json
):
    log = await bench.run(bench.workflow("main.yml"), kind, "hitl", asks(answer))
    assert log.ending == RunSucceeded()
    (question,) = log.of(QuestionAsked)
    assert isinstance(question, QuestionAsked)
    assert question.prompt == prompt
    assert answered(log) == expected


async def test_a_question_that_nobody_answers_fails_the_workflow_as_nat_would(bench: Bench):
    log = await bench.run(bench.workflow("main.yml"), "text timeout=7", "hitl", asks(None))
    (question,) = log.of(QuestionAsked)
    assert isinstance(question, QuestionAsked)
    assert question.prompt.timeout_seconds == 7
    assert log.ending == RunFailed(
        "agent_error",
        "HITL prompt timed out after 7s waiting for human response",
        error="TimeoutError",
    )


async def test_options_with_the_same_id_can_be_told_apart(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "asks_twins"}}
    log = await bench.run(bench.workflow(config), "x", asked=asks("b"))
    (question,) = log.of(QuestionAsked)
    assert isinstance(question, QuestionAsked)
    assert [option.id for option in question.prompt.options] == ["default", "default-2"]
    assert answer_of(log) == "b"


async def test_a_tool_with_an_event_loop_of_its_own_may_ask(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "asks_from_a_thread"}}
    log = await bench.run(bench.workflow(config), "x", asked=asks("Bob"))
    assert answer_of(log) == "Bob"


async def test_a_workflow_that_begins_again_asks_nothing_twice_and_says_nothing_twice(
    bench: Bench,
):
    workflow = bench.workflow("main.yml")
    first = await bench.run(workflow, "text", "hitl", asks("Bob"))
    length = 1 + next(
        at for at, event in enumerate(first.events) if isinstance(event, QuestionAsked)
    )

    def nobody(prompt: Prompt) -> Json:
        raise AssertionError(prompt)

    again = await bench.run(
        workflow, "text", "hitl", Asked(answer=nobody, before=first.cut(length + 1))
    )
    assert again.ending == RunSucceeded()
    assert answer_of(again) == answer_of(first)
    assert not again.of(OutputRestarted)


async def test_the_steps_of_a_workflow_that_begins_again_are_the_same(bench: Bench):
    workflow = bench.workflow("main.yml")
    first = await bench.run(workflow, "hello")
    again = await bench.run(workflow, "hello", asked=Asked(before=first.cut(7)))
    assert told(again) == told(first)
