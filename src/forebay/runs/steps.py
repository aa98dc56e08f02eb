"""Steps: units of work that are journalled, so that what has its result is never done again.

A step starts only after its `step.started` is committed under the lease of this attempt: whoever
lost the lease can at most finish the call he was in.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias, cast

from forebay.core import errors
from forebay.core.codec import Object, decode_event, decode_json, encode_json, restore
from forebay.core.errors import BudgetExceeded, RunFinished, StepArgumentsChanged
from forebay.core.events import (
    Emission,
    Event,
    ModelFinished,
    ModelStarted,
    ObjectRef,
    StepFailed,
    StepFinished,
    StepRestarted,
    StepStarted,
    ToolFinished,
    ToolStarted,
)
from forebay.core.messages import Reply

from .attempt import Attempt
from .journal import StepRecord
from .plain import bill_of, digest_of, input_of, plain, read_as
from .raised import message_of
from .saying import Bill, check_spent, count_step, emit, record, spend
from .scopes import Scope, Try

Kind: TypeAlias = Literal["step", "tool", "model"]

_LONGEST_PAUSE_SECONDS = 300.0
_TURN_EVERY = 64  # pieces that are said again, after which the log gets its turn


class Call(NamedTuple):
    """What an agent asks for with a step."""

    kind: Kind
    name: str
    fn: Callable[..., object]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    key: str | None
    retries: int
    backoff_seconds: float
    timeout_seconds: float | None
    returns: object
    retry_on: type[Exception] = Exception
    """What is worth another try."""
    is_leaf: bool = False
    """Whether nothing is journalled inside it."""
    begun: Callable[[str], Emission] | None = None
    """What is said when it begins, under its id; None: what can be read from its arguments."""
    id: str | None = None
    """Its name, if it was given one before something else was waited for."""


class Step:
    """A step that the agent has asked for, and how far it has come."""

    __slots__ = (
        "arguments", "call", "done", "failures", "id", "is_kept", "is_known", "scope", "tries",
    )  # fmt: skip

    def __init__(self, call: Call, scope: Scope) -> None:
        """Raises TypeError for arguments that cannot name it."""
        self.call = call
        self.scope = scope
        self.arguments = _arguments(call)
        if call.id is not None:
            self.id = call.id
        elif call.key is None:
            self.id = scope.name(call.kind, call.name, self.arguments)
        else:
            self.id = scope.name_by_key(call.kind, call.name, call.key)
        self.is_kept = scope.remembers or call.key is not None
        """Whether this attempt may ask for it once more."""
        self.is_known = False
        """Whether it was begun before."""
        self.tries = 0
        self.failures = 0
        self.done: asyncio.Future[None] | None = None
        """For whoever asks for the same meanwhile."""


class Settled(NamedTuple):
    """A step that has its result already."""

    result: object


class Steps:
    """What is recorded of the steps of one attempt. On its event loop alone."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._under_way: dict[str, Step] = {}

    # --- before ---------------------------------------------------------------------------------

    async def begin(self, step: Step) -> Settled | None:
        """Take a step up. None: it is to be executed, and `end` is to be called after that.

        Raises StepFailed, StepArgumentsChanged, BudgetExceeded, RunFinished.
        """
        if self._attempt.parting is not None or self._attempt.is_closing:
            raise RunFinished("The run was ended from outside.")
        step.scope.check()
        check_spent(self._attempt, self._attempt.order.grant)
        if step.is_kept:
            await self._take_turn(step)
        known = self._attempt.journal.recall(step.id)
        if known is None:
            count_step(self._attempt, self._attempt.order.grant)
        elif (settled := await self._recall(step, known)) is not None:
            return settled
        if step.is_kept:
            step.done = asyncio.get_running_loop().create_future()
            self._under_way[step.id] = step
        self._attempt.steps_in_flight += 1
        return None

    def end(self, step: Step) -> None:
        """A step that was begun is over, whatever became of it."""
        self._attempt.steps_in_flight -= 1
        if step.done is not None:
            step.done.set_result(None)
            if self._under_way.get(step.id) is step:
                del self._under_way[step.id]

    async def _take_turn(self, step: Step) -> None:
        while (other := self._under_way.get(step.id)) is not None and other.done is not None:
            if other.scope.is_over:
                return  # a part of a try that was given up: it may go on for ever
            await asyncio.shield(other.done)

    async def _recall(self, step: Step, known: StepRecord) -> Settled | None:
        if step.arguments != known.arguments and step.arguments and known.arguments:
            raise StepArgumentsChanged(
                f"Step {step.call.name!r} was called with other arguments under its key "
                f"{step.call.key!r} before."
            )
        if known.has_outcome and known.is_void:
            await self._say_again(step.scope, known)
        if known.finished is not None:
            return Settled(read_as(step.call.returns, await self._result(known.finished)))
        if known.failure is not None:
            raise _error(step, known.failure)
        step.is_known = True
        step.tries, step.failures = known.tries, known.failures
        self._restart(step)
        return None

    async def _say_again(self, scope: Scope, known: StepRecord) -> None:
        known.is_void = False  # now: somebody else may ask for it meanwhile
        try:
            for count, event in enumerate(known.emissions(), 1):
                stored: ObjectRef | None = getattr(event, "stored", None)
                if stored is not None:
                    data = await self._attempt.read_object(stored.object)
                    event = restore(event, Object(stored.object, data))
                record(self._attempt, scope, event)
                if count % _TURN_EVERY == 0:
                    await self._attempt.make_room()
        except BaseException:
            known.is_void = True
            raise

    async def _result(self, finished: bytes) -> bytes:
        event = cast(StepFinished, decode_event(finished))
        if event.stored is None:
            return encode_json(event.result)
        return await self._attempt.read_object(event.stored.object)

    # --- a try ----------------------------------------------------------------------------------

    async def start(self, step: Step) -> Scope:
        """Begin a try; returns where it is to be executed, when it may be."""
        if self._attempt.is_closing:
            raise RunFinished
        step.tries += 1
        call, scope = step.call, step.scope
        self._record(
            step, StepStarted(step.id, call.name, step.arguments, scope.id, tries=step.tries)
        )
        await self._attempt.committed()
        if self._attempt.is_closing:  # meanwhile
            raise RunFinished
        remembers = scope.remembers or (call.retries > 0 and not call.is_leaf)
        inner = Scope(scope.owner, step.id, Try(step.id, scope.within_try), remembers)
        if call.kind != "step":
            emit(self._attempt, inner, _begun(step))
        return inner

    def finish(self, step: Step, inner: Scope, result: object) -> object:
        """A try has its result; returns what the agent gets of it. Raises StepFailed."""
        if self._attempt.is_closing:
            raise RunFinished
        inner.check()
        try:
            data = plain(step.call.name, result)
            value = read_as(step.call.returns, data)
        except (TypeError, ValueError) as error:  # another try would give the same
            raise self._give_up(step, inner, error) from error
        said = decode_json(data)  # not the value, which is the agent's to change
        bill = Bill()
        if step.call.kind == "model":
            bill = bill_of(result)
            emit(self._attempt, inner, _model_ended(step, result, bill))
        elif step.call.kind == "tool":
            emit(self._attempt, inner, ToolFinished(call=step.id, output=said))
        # Nobody waits until this is committed: whatever the run does next is committed after it.
        self._record(step, StepFinished(step.id, said))
        self._forget(step)
        spend(self._attempt, self._attempt.order.grant, bill)
        return value

    def fail(self, step: Step, inner: Scope, error: Exception) -> float:
        """A try has failed; returns how long to wait before the next one.

        Raises StepFailed if there is none, and what was raised if that is no failure of the step.
        """
        attempt = self._attempt
        if attempt.parting is not None or attempt.is_closing or isinstance(error, BudgetExceeded):
            raise error
        inner.check()
        step.failures += 1
        if step.failures > step.call.retries or not isinstance(error, step.call.retry_on):
            raise self._give_up(step, inner, error) from error
        self._say_failed(step, inner, error, final=False)
        self._restart(step)
        pause = step.call.backoff_seconds * 2 ** (step.failures - 1)
        return min(pause, _LONGEST_PAUSE_SECONDS)

    def _give_up(self, step: Step, inner: Scope, error: Exception) -> errors.StepFailed:
        failed = self._say_failed(step, inner, error, final=True)
        self._forget(step)
        return _error(step, failed)

    def _say_failed(self, step: Step, inner: Scope, error: Exception, *, final: bool) -> StepFailed:
        failed = StepFailed(step.id, type(error).__name__, message_of(error), final)
        told = f"{failed.error}: {failed.message}"
        if step.call.kind == "model":
            emit(self._attempt, inner, ModelFinished(call=step.id, error=told))
        elif step.call.kind == "tool":
            emit(self._attempt, inner, ToolFinished(call=step.id, error=told))
        give_up(inner)
        if final and inner.within_try is not None and inner.within_try.has_spoken:
            self._restart(step)  # a fallback says it all
        self._record(step, failed)
        return failed

    def _restart(self, step: Step) -> None:
        self._record(step, StepRestarted(step.id))

    def _record(self, step: Step, event: Event) -> None:
        self._attempt.recorder.record(event)
        if step.is_kept or step.is_known or step.call.retries > 0:
            self._attempt.journal.remember(event)

    def _forget(self, step: Step) -> None:
        if step.call.retries > 0 and not step.is_kept and not step.is_known:
            self._attempt.journal.forget(step.id)


def give_up(inner: Scope) -> None:
    """Nobody listens any more to what is still done in a try."""
    if inner.within_try is not None:
        inner.within_try.is_over = True


def _arguments(call: Call) -> str:
    try:
        return digest_of(call.name, call.args, call.kwargs)
    except TypeError:
        if call.key is None:
            raise
        return ""


def _error(step: Step, failed: StepFailed) -> errors.StepFailed:
    return errors.StepFailed(failed.message, step=step.call.name, error=failed.error)


def _begun(step: Step) -> Emission:
    call = step.call
    if call.begun is not None:
        return call.begun(step.id)
    given = input_of(call.fn, call.args, call.kwargs)
    if call.kind == "tool":
        return ToolStarted(call=step.id, tool=call.name, input=given)
    messages = given.get("messages") if isinstance(given, dict) else None
    count = len(messages) if isinstance(messages, list) else None
    return ModelStarted(call=step.id, model=call.name, message_count=count)


def _model_ended(step: Step, result: object, bill: Bill) -> ModelFinished:
    reply = result if isinstance(result, Reply) else None
    return ModelFinished(
        call=step.id,
        usage=bill.usage,
        cost_usd=bill.cost_usd,
        thinking=reply.thinking if reply else None,
        finish=reply.finish if reply else None,
    )
