"""Plain values: what JSON makes of a step's arguments and result, and how a type reads it back."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, cast

import msgspec
import pydantic

from forebay.core.codec import decode_json, encode_json
from forebay.core.events import Usage
from forebay.core.json import Json

from .saying import Bill
from .scopes import digest

_USAGE_FIELDS = (("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens"))


def _dump(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is not JSON")


_encode = msgspec.json.Encoder(enc_hook=_dump).encode
_encode_sorted = msgspec.json.Encoder(enc_hook=_dump, order="sorted").encode


def digest_of(name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
    """A digest of what a step is called with. Raises TypeError for what is not JSON."""
    called_with = (args, kwargs)
    try:
        return digest(_encode_sorted(called_with))
    except TypeError:  # or a dictionary whose keys are no texts
        pass
    try:
        return digest(_encode_sorted(decode_json(_encode(called_with))))
    except TypeError as error:
        raise TypeError(
            f"Step {name!r} is called with something that is not JSON ({error}): pass `key=`, "
            "which then names the step instead of its arguments."
        ) from error


def plain(name: str, result: object) -> bytes:
    """What JSON makes of a step's result. Raises TypeError."""
    try:
        return _encode(result)
    except TypeError as error:
        raise TypeError(f"Step {name!r} has a result that is not JSON: {error}.") from error


def read_as(kind: object, data: bytes) -> object:
    """Read a result as plain JSON, or as a type. Raises TypeError if it is none of that type."""
    if kind is None:
        return decode_json(data)
    try:
        return _reader(kind)(data)
    except (msgspec.ValidationError, pydantic.ValidationError) as error:
        raise TypeError(f"The result of the step is not a {kind}: {error}") from error


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Callable[[bytes], object]:  # Any: whatever an agent calls a type
    try:
        return msgspec.json.Decoder(kind, dec_hook=_load).decode
    except TypeError:
        return pydantic.TypeAdapter(kind).validate_json


def _load(kind: type[object], value: object) -> object:
    if issubclass(kind, pydantic.BaseModel):
        return kind.model_validate_json(encode_json(value))
    raise TypeError(f"JSON cannot be read as a {kind.__name__}")


def input_of(
    fn: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Json:
    """What a tool is called with, by the names of its parameters if they are known."""
    target = getattr(fn, "__func__", fn)
    code = getattr(target, "__code__", None)
    if isinstance(code, CodeType) and len(args) <= code.co_argcount:
        names = code.co_varnames[inspect.ismethod(fn) : code.co_argcount]
        called_with: object = dict(zip(names, args, strict=False)) | dict(kwargs)
    else:
        called_with = kwargs if not args else [*args, kwargs] if kwargs else args
    try:
        return decode_json(_encode(called_with))
    except TypeError:
        return None  # the step has a key instead


def bill_of(result: object) -> Bill:
    """What a model call has consumed and cost, if its result says so."""
    cost = _field(result, "cost_usd")
    return Bill(_usage_of(_field(result, "usage")), cost if isinstance(cost, float) else None)


def _usage_of(usage: object) -> Usage | None:
    if isinstance(usage, Usage):
        return usage
    for names in _USAGE_FIELDS:
        given, produced = (_field(usage, name) for name in names)
        if isinstance(given, int) or isinstance(produced, int):
            return Usage(_count(given), _count(produced))
    return None


def _field(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        return cast(Mapping[str, object], value).get(name)
    return getattr(value, name, None)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
