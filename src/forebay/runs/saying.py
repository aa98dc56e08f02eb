"""Saying: how what an agent says, draws and consumes gets into the log once, in all attempts."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from forebay.core.errors import BudgetExceeded
from forebay.core.events import Emission, Event, Usage, ValueDrawn
from forebay.core.grant import Grant
from forebay.core.json import Json

from .journal import Journal
from .scopes import Scope


class Log(Protocol):
    """Takes events without waiting."""

    def record(self, event: Event) -> None: ...


class Writer(Protocol):
    """An attempt, as far as it writes."""

    @property
    def journal(self) -> Journal: ...

    @property
    def recorder(self) -> Log: ...


def emit(attempt: Writer, scope: Scope, event: Emission) -> bool:
    """Record what is said here. False if it stands in the log already."""
    scope.check()
    if event.within != scope.id:
        event = msgspec.structs.replace(event, within=scope.id)
    journal = attempt.journal
    if scope.within_try is None and journal.repeats:
        repeated = journal.repeat(event)
        if repeated is True:
            return False
        if repeated is not False:
            attempt.recorder.record(repeated)
    record(attempt, scope, event)
    return True


def record(attempt: Writer, scope: Scope, event: Event) -> None:
    """Record something, and keep it in mind if it may be asked for once more."""
    attempt.recorder.record(event)
    if scope.remembers:
        attempt.journal.remember(event)


def draw(attempt: Writer, scope: Scope, kind: str, make: Callable[[], Json]) -> Json:
    """A value that is the same in every attempt."""
    scope.check()
    name = scope.name("value", kind, "")
    value = attempt.journal.drawn(name)
    if value is None:
        value = make()
        record(attempt, scope, ValueDrawn(name, kind, value))
    return value


class Bill(NamedTuple):
    """What a model call has consumed, and what that costs, as far as it is known."""

    usage: Usage | None = None
    cost_usd: float | None = None


def spend(attempt: Writer, grant: Grant, bill: Bill) -> None:
    """Count what a model has consumed. Raises BudgetExceeded if that is more than is granted."""
    journal = attempt.journal
    if bill.usage is not None:
        journal.tokens += bill.usage.input_tokens + bill.usage.output_tokens
    if bill.cost_usd is not None:
        journal.cost_usd += bill.cost_usd
    check_spent(attempt, grant)


def check_spent(attempt: Writer, grant: Grant) -> None:
    """Raises BudgetExceeded if the models have consumed more than is granted."""
    journal = attempt.journal
    if grant.max_tokens is not None and journal.tokens > grant.max_tokens:
        journal.exceeded = BudgetExceeded(
            f"The run may consume {grant.max_tokens} tokens, and has consumed {journal.tokens}.",
            reason="token_budget",
        )
    elif grant.max_cost_usd is not None and journal.cost_usd > grant.max_cost_usd:
        journal.exceeded = BudgetExceeded(
            f"The run may cost {grant.max_cost_usd:g} US dollars, and has cost "
            f"{journal.cost_usd:.6g}.",
            reason="cost_budget",
        )
    else:
        return
    raise journal.exceeded


def count_step(attempt: Writer, grant: Grant) -> None:
    """Count a step that begins. Raises BudgetExceeded if it is one too many."""
    journal = attempt.journal
    if grant.max_steps is not None and journal.steps >= grant.max_steps:
        journal.exceeded = BudgetExceeded(
            f"The run may begin {grant.max_steps} steps, and wants one more.", reason="step_budget"
        )
        raise journal.exceeded
    journal.steps += 1
