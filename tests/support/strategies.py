"""What Hypothesis may try: JSON, texts, and every event with every field."""

from typing import cast

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from forebay.core.clock import Millis
from forebay.core.codec import Entry
from forebay.core.events import TYPES, Event
from forebay.core.json import Json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Texts that can be written in UTF-8."""

_leaves: st.SearchStrategy[Json] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)

jsons: st.SearchStrategy[Json] = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)

millis = st.integers(0, 2**47).map(Millis)


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[object]] = {
    inspect.AnyType: cast(st.SearchStrategy[object], jsons),
    inspect.BoolType: st.booleans(),
    inspect.StrType: texts,
    inspect.IntType: st.integers(0, 2**53),
    inspect.FloatType: st.floats(0.001, 1e9),
    inspect.NoneType: st.none(),
}


def _of(kind: inspect.Type) -> st.SearchStrategy[object]:
    match kind:
        case inspect.UnionType():
            return st.one_of([_of(each) for each in kind.types])
        case inspect.StructType():
            return st.builds(kind.cls, **{field.name: _of(field.type) for field in kind.fields})
        case inspect.DictType():
            return st.dictionaries(texts, _of(kind.value_type), max_size=3)
        case inspect.ListType():
            return st.lists(_of(kind.item_type), max_size=3)
        case inspect.VarTupleType():
            return st.lists(_of(kind.item_type), max_size=3).map(tuple)
        case _:
            return _PLAIN[type(kind)]


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of a type."""
    return cast(st.SearchStrategy[Event], _of(msgspec.inspect.type_info(kind)))


events: st.SearchStrategy[Event] = st.sampled_from(sorted(TYPES, key=TYPES.__getitem__)).flatmap(
    events_of
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry."""
    return Entry(
        draw(st.integers(1, 10**9)), draw(st.integers(0, 9)), draw(millis), event=draw(events)
    )
