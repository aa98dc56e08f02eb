"""Asking models: each model that is asked is a step; its pieces are recorded as they come."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from forebay.core.errors import (
    MalformedReply,
    ModelCutOff,
    ModelError,
    ModelNotGranted,
    ModelUnreachable,
    RunFinished,
    StepFailed,
)
from forebay.core.events import ModelChunk, ModelStarted, OutputChunk
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.agent import Say
from forebay.ports.models import Embedder, Embeddings, Model, Models, Thought

from .attempt import Attempt
from .raised import raise_typed, typed
from .recorder import SMALL_CHARACTERS
from .scopes import SCOPE, Scope
from .steps import Call

_TRIES_AFTER_A_CUT = 2
_PAUSE_SECONDS = 0.2
_TURN_EVERY = 64  # pieces after which the log gets its turn

_T = TypeVar("_T")


class Doing(Protocol):
    """Executes a step, as an agent that asks for it."""

    async def __call__(self, call: Call) -> object: ...


class Asking(NamedTuple):
    """How a model is asked."""

    request: ChatRequest
    say: Say
    key: str | None
    timeout_seconds: float | None


async def chat(
    attempt: Attempt, models: Models, name: str | None, asking: Asking, do: Doing
) -> Reply:
    """The reply of the model, or of the first of its fallbacks that can. Raises ModelError."""
    if name is not None:  # before a model is made of it
        check_granted(attempt, name)
    first = models.model(name)
    check_granted(attempt, first.name)
    failures: list[ModelError] = []
    for model in _candidates(attempt, models, first):
        try:
            return await _ask(attempt, model, asking, do)
        except StepFailed as failed:
            error = _failure_of(failed)
            if error is None:
                raise
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    told = " ".join(f"({at}) {each.message}" for at, each in enumerate(failures, 1))
    raise type(failures[0])(f"{first.name} and its fallbacks have failed. {told}")


async def embed(
    attempt: Attempt, embedder: Embedder, texts: Sequence[str], key: str | None, do: Doing
) -> list[list[float]]:
    """The vectors of these texts. Raises ModelError."""
    check_granted(attempt, embedder.name)

    async def make_vectors(texts: list[str]) -> Embeddings:
        made = await _while_it_lasts(attempt, embedder.embed(texts))
        cost = embedder.price and made.usage and embedder.price.of(made.usage)
        return msgspec.structs.replace(made, model=embedder.name, cost_usd=cost)

    def begun(step: str) -> ModelStarted:
        return ModelStarted(call=step, model=embedder.name, provider=embedder.provider)

    call = Call(
        "model", embedder.name, make_vectors, (list(texts),), {}, key,
        0, 0.0, None, Embeddings, is_leaf=True, begun=begun,
    )  # fmt: skip
    try:
        made = await do(call)
    except StepFailed as failed:
        raise_typed(failed)
    assert isinstance(made, Embeddings)
    return made.vectors


def check_granted(attempt: Attempt, model: str) -> None:
    """Raises ModelNotGranted if this run may not use this model."""
    if not _is_granted(attempt, model):
        raise ModelNotGranted(f"This run may not use the model {model!r}.")


def _is_granted(attempt: Attempt, model: str) -> bool:
    granted = attempt.order.grant.models
    return granted is None or model in granted


def _candidates(attempt: Attempt, models: Models, first: Model) -> Iterator[Model]:
    yield first
    for name in first.fallbacks:
        if _is_granted(attempt, name):
            yield models.model(name)


def _failure_of(failed: StepFailed) -> ModelError | None:
    if failed.error == TimeoutError.__name__:
        return ModelUnreachable(failed.message)
    error = typed(failed)
    return error if isinstance(error, ModelError) else None


async def _ask(attempt: Attempt, model: Model, asking: Asking, do: Doing) -> Reply:
    async def talk(request: ChatRequest) -> Reply:
        scope = SCOPE.get()
        assert scope is not None and scope.id is not None, "a step is executed in its scope"
        listening = _listen(attempt, model, request, scope, say=asking.say)
        return await _while_it_lasts(attempt, listening)

    def begun(step: str) -> ModelStarted:
        return ModelStarted(
            call=step, model=model.name, message_count=len(asking.request.messages),
            provider=model.provider,
        )  # fmt: skip

    call = Call(
        "model", model.name, talk, (asking.request,), {}, asking.key,
        _TRIES_AFTER_A_CUT, _PAUSE_SECONDS, asking.timeout_seconds, Reply,
        retry_on=ModelCutOff, is_leaf=True, begun=begun,
    )  # fmt: skip
    reply = await do(call)
    assert isinstance(reply, Reply)
    return reply


async def _while_it_lasts(attempt: Attempt, talking: Coroutine[object, object, _T]) -> _T:
    """What comes of a call. Raises RunFinished when the run ends first."""
    limit = asyncio.timeout(None)
    attempt.calls.add(limit)
    try:
        async with limit:
            return await talking
    except TimeoutError:
        if limit.expired():
            raise RunFinished from None
        raise
    finally:
        attempt.calls.discard(limit)


async def _listen(
    attempt: Attempt, model: Model, request: ChatRequest, scope: Scope, *, say: Say
) -> Reply:
    step = scope.id or ""
    parts = _Parts(say)
    split = parts.of if callable(say) else _small

    def made(text: str) -> OutputChunk | ModelChunk:
        if parts.is_answer:
            return OutputChunk(text, within=step)
        return ModelChunk(step, text, within=step)

    count = 0
    within_try = scope.within_try
    assert within_try is not None, "a step is executed in a try"
    pieces: AsyncGenerator[str | Thought | Reply] = model.chat(request)
    async with aclosing(pieces):
        async for piece in pieces:
            if type(piece) is str:
                scope.check()
                within_try.has_spoken = True
                for text in split(piece):
                    event = made(text)
                    attempt.recorder.piece(event)
                    if scope.remembers:
                        attempt.journal.remember(event)
                count += 1
                if count % _TURN_EVERY == 0:
                    await attempt.make_room()
            elif isinstance(piece, Reply):
                cost = model.price and piece.usage and model.price.of(piece.usage)
                return msgspec.structs.replace(piece, model=model.name, cost_usd=cost)
    raise MalformedReply(f"Model {model.name!r} has ended without a reply.")


class _Parts:
    """Tells what of a text is the answer."""

    def __init__(self, say: Say) -> None:
        self.is_answer = say is True
        """Whether what comes now is."""
        self._find: Callable[[str], int | None] | None = say if callable(say) else None
        self._text = ""

    def of(self, piece: str) -> Iterator[str]:
        """The piece in bearable sizes, and at the border cut in two."""
        if self._find is not None:
            before, self._text = len(self._text), self._text + piece
            found = self._find(self._text)
            if found is not None:
                self._find = None
                border = max(0, found - before)
                yield from _small(piece[:border])
                self.is_answer, piece = True, piece[border:]
        yield from _small(piece)


def _small(piece: str) -> Iterator[str]:
    if len(piece) <= SMALL_CHARACTERS:
        if piece:
            yield piece
        return
    for at in range(0, len(piece), SMALL_CHARACTERS):
        yield piece[at : at + SMALL_CHARACTERS]
