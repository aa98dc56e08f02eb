"""Scopes: where in a run something is done. What is done there has the same name in each attempt.

The scope is kept per task, so that branches under `gather` do not disturb one another.
"""

from contextvars import ContextVar
from hashlib import blake2b
from itertools import count
from types import TracebackType

from forebay.core.codec import encode_json
from forebay.core.errors import RunFinished

from .bridge import Bridge

_DIGEST_BYTES = 10
_ESCAPED = str.maketrans({"%": "%25", ".": "%2E", "#": "%23"})


class Try:
    """One try at a step."""

    __slots__ = ("asking", "has_spoken", "is_over", "outer", "step")

    def __init__(self, step: str, outer: "Try | None") -> None:
        self.step = step
        self.outer = outer
        self.is_over = False
        """Whether it was given up: what still runs of it is not listened to."""
        self.has_spoken = False
        """Whether it is a model's, and pieces of its reply were said."""
        self.asking = 0
        """How many questions it waits for."""


class Scope:
    """Where things are done, and how often each of them was done there."""

    __slots__ = ("_counts", "bridge", "id", "owner", "remembers", "within_try")

    def __init__(
        self,
        owner: object,
        id: str | None = None,
        within_try: Try | None = None,
        remembers: bool = False,
        bridge: Bridge | None = None,
    ) -> None:
        self.owner = owner
        """The attempt it belongs to: another run may be started inside a step."""
        self.id = id
        self.within_try = within_try
        self.remembers = remembers
        """Whether it may be begun again in this attempt."""
        self.bridge = bridge
        """How to reach the event loop, if this is done in a thread."""
        self._counts: dict[tuple[str, str, str], count[int]] | None = None

    def name(self, kind: str, name: str, what: str) -> str:
        """A name for the next of several equal things that are done here."""
        if self._counts is None:
            self._counts = {}
        # Safe from several threads: `setdefault` and `next` are one step each.
        number = next(self._counts.setdefault((kind, name, what), count(1)))
        return digest(encode_json((self.id, kind, name, what, number)))

    def name_by_key(self, kind: str, name: str, key: str) -> str:
        """A name for the one thing that is done here under this key."""
        return digest(encode_json((self.id, kind, name, key)))

    def named(self, name: str) -> "Scope":
        """A scope inside this one."""
        if self._counts is None:
            self._counts = {}
        number = next(self._counts.setdefault(("scope", name, ""), count(1)))
        inner = f"{self.id or ''}.{name.translate(_ESCAPED)}"
        if number > 1:
            inner = f"{inner}#{number}"
        return Scope(self.owner, inner, self.within_try, self.remembers, self.bridge)

    @property
    def is_over(self) -> bool:
        """Whether nobody listens any more to what is done here."""
        attempted = self.within_try
        while attempted is not None and not attempted.is_over:
            attempted = attempted.outer
        return attempted is not None

    def check(self) -> None:
        """Raises RunFinished if nobody listens any more to what is done here."""
        if self.is_over:
            raise RunFinished("This try of the step is over.")


SCOPE: ContextVar[Scope | None] = ContextVar("forebay_scope", default=None)
"""Where this task is. None outside all steps and scopes."""


class Opened:
    """A scope for as long as a `with` lasts."""

    __slots__ = ("_outer", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._outer: Scope | None = None

    def __enter__(self) -> None:
        self._outer = SCOPE.get()
        SCOPE.set(self._scope)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not by token: a generator may be closed in another task than the one it was opened in.
        SCOPE.set(self._outer)


def digest(data: bytes) -> str:
    """A short name for something, the same in every process."""
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
