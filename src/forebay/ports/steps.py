"""How an agent asks for steps: the form of `ctx.step`, `ctx.tool` and `ctx.model`."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, overload

from forebay.core.json import Json

_T = TypeVar("_T")
_Plain = TypeVar("_Plain", bound="bool | int | float | str | None")


class AsyncSteps(Protocol):
    """A step of an agent on the event loop. What it returns is awaited."""

    @overload
    async def __call__(
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        returns: type[_T],
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> _T: ...

    @overload
    async def __call__(
        self,
        name: str,
        fn: Callable[..., Awaitable[_Plain]],
        /,
        *args: object,
        returns: None = None,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> _Plain: ...

    @overload
    async def __call__(
        self,
        name: str,
        fn: Callable[..., _Plain],
        /,
        *args: object,
        returns: None = None,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> _Plain: ...

    @overload
    async def __call__(
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        returns: None = None,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> Json: ...


class BlockingSteps(Protocol):
    """A step of an agent in a thread."""

    @overload
    def __call__(
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        returns: type[_T],
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> _T: ...

    @overload
    def __call__(
        self,
        name: str,
        fn: Callable[..., _Plain],
        /,
        *args: object,
        returns: None = None,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> _Plain: ...

    @overload
    def __call__(
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        returns: None = None,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        **kwargs: object,
    ) -> Json: ...
