"""Building: a file's workflows, once for all users or for each user by himself."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar, cast

from forebay.core.clock import Clock
from forebay.core.errors import InvalidInput

from .hiding import Secrets
from .loading import AGAIN_SECONDS, BuildError
from .owned import Owned
from .toolkit import (
    AnyWorkflow,
    Config,
    WorkflowBuilder,
    build_for_all,
    build_for_user,
    is_per_user,
)
from .users import Users

MOST_IDLE_USERS = 500

_T = TypeVar("_T")

_Shared: TypeAlias = tuple[WorkflowBuilder, dict[str | None, AnyWorkflow]]
_Key: TypeAlias = tuple[str | None, str]
"""A function, and a user: NAT keeps what it builds for users apart by both."""

# Such an error does not go away by itself; of any other, the next attempt may know nothing.
_LASTING = (AssertionError, AttributeError, ImportError, LookupError, TypeError, ValueError)


class Builders:
    """What NAT has built of a file, from the first need to `aclose`."""

    def __init__(
        self, config: Config, functions: Sequence[str | None], source: str, clock: Clock
    ) -> None:
        self.secrets = Secrets(config)
        self.failure: BuildError | None = None
        """Why nothing could be built when it was last tried."""
        self._config = config
        self._source = source
        self._clock = clock
        self._is_per_user = is_per_user(config)
        self._functions = [] if self._is_per_user else list(functions)
        self._shared: Owned[_Shared] | None = None
        self._failed_at = clock.boot()
        general = config.general
        self._users: Users[_Key, AnyWorkflow] = Users(
            general.per_user_workflow_timeout.total_seconds(), MOST_IDLE_USERS, clock
        )
        self._look_seconds = general.per_user_workflow_cleanup_interval.total_seconds()
        self._looking: asyncio.Task[None] | None = None

    async def build(self) -> None:
        """Build what all users share. Raises BuildError."""
        await self._build_shared()

    @asynccontextmanager
    async def workflow(self, function: str | None, user: str | None) -> AsyncGenerator[AnyWorkflow]:
        """The workflow that starts at a function, for as long as it is run.

        Raises BuildError, and InvalidInput without a user who may have one of his own.
        """
        builder, workflows = await self._build_shared()
        if not self._is_per_user:
            yield workflows[function]
            return
        if user is None:
            raise InvalidInput(
                "This workflow is built for each user by himself, and the caller of this run has "
                "no name: authenticate, or send `metadata.nat.user_id`."
            )

        self._look_after_users()
        kept = self._users.take(
            (function, user),
            lambda: Owned(
                lambda: build_for_user(self._config, function, user, builder), "nat-user"
            ),
        )
        try:
            yield await self._got(kept)
        finally:
            self._users.give_back((function, user), kept)

    async def aclose(self) -> None:
        """Let go of everything."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._users.aclose()
        if self._shared is not None:
            await self._shared.aclose()

    async def _build_shared(self) -> _Shared:
        if self._shared is None or self._may_try_again():
            self._shared = Owned(
                lambda: build_for_all(self._config, self._functions), "nat-workflow"
            )
        owned = self._shared
        if owned.is_over and self.failure is not None:
            raise self.failure.with_traceback(None)
        try:
            shared = await self._got(owned)
        except BuildError as error:
            self.failure, self._failed_at = error, self._clock.boot()
            raise
        self.failure = None
        return shared

    def _may_try_again(self) -> bool:
        if self._shared is None or not self._shared.is_over or self.failure is None:
            return False
        passed = self._clock.boot() - self._failed_at
        return not self.failure.lasts and passed >= AGAIN_SECONDS * 1000

    async def _got(self, owned: Owned[_T]) -> _T:
        error = await owned.failure()
        if error is None:
            return owned.value
        cause = _leaf(error)
        told = self.secrets.hide(f"{type(cause).__name__}: {cause}")
        raise BuildError(
            f"NAT cannot build {self._source}: {told}", lasts=isinstance(cause, _LASTING)
        )

    def _look_after_users(self) -> None:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="nat-users")

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(self._look_seconds)
            self._users.dismiss_idle()


def _leaf(error: BaseException) -> BaseException:
    """What really went wrong, of several things the first."""
    while isinstance(error, BaseExceptionGroup):
        error = cast(BaseExceptionGroup[BaseException], error).exceptions[0]
    return error
