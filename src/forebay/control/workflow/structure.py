"""What a workflow file consists of, whoever runs it: its sections, components and front end."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pydantic

from forebay.core.json import Json

from .fields import is_of_group, missing, problems_of, references, without_effect
from .front_end import FRONT_ENDS, FastApi, General, Said, settings_in
from .places import Keys, Problem, dotted, nearest, refusal, shown
from .reading import WorkflowFile

SECTIONS = (
    *("functions", "function_groups", "llms", "embedders", "retrievers", "memory"),
    *("object_stores", "middleware", "authentication", "ttc_strategies"),
)
"""What holds components, each under its name and with a `_type`. `workflow` is one component."""

_IDLE = ("eval", "optimizer", "trainers", "trainer_adapters", "trajectory_builders", "finetuning")
_KNOWN = ("general", "workflow", *SECTIONS, *_IDLE)
_TYPE = "_type"

_Closed = TypeVar("_Closed", bound=pydantic.BaseModel)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a workflow that has a type."""

    section: str
    name: str
    type: str
    keys: Keys
    data: dict[str, Json] = field(repr=False)
    """What is said of it, without the type."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What could be read of a file, and what is wrong with it."""

    file: WorkflowFile
    front_end: FastApi | None
    components: Sequence[Component]
    problems: Sequence[Problem]
    unused: Sequence[str]
    """Keys outside the components that have no effect here, as dotted paths."""

    def refuse_problems(self) -> None:
        """Raises WorkflowError if something is wrong."""
        if self.problems:
            raise refusal(self.problems)

    def settings(self) -> Iterator[Said]:
        """The settings that the front end is told, by their keys from the top."""
        if self.front_end is not None:
            for said in settings_in(self.front_end):
                yield said._replace(keys=("general", "front_end", *said.keys))

    def types(self) -> list[tuple[str, str]]:
        """The section and the type of each component."""
        return [(each.section, each.type) for each in self.components]


def read_structure(file: WorkflowFile) -> Structure:
    """Look at all of a file but the insides of its components."""
    return _Reader(file).read()


class _Reader:
    def __init__(self, file: WorkflowFile) -> None:
        self._file = file
        self._data = file.data
        self._problems: list[Problem] = []
        self._unused: list[Keys] = []

    def read(self) -> Structure:
        for key in self._data:
            if key not in _KNOWN:
                self._wrong((key,), f"there is no such section.{nearest(key, _KNOWN)}")
        front_end = self._general()
        components = list(self._components())
        if front_end is not None:
            self._names(front_end)
        self._unused += [(key,) for key in _IDLE if key in self._data]
        unused = [dotted(keys) for keys in self._unused]
        return Structure(self._file, front_end, components, self._problems, unused)

    def _wrong(self, keys: Keys, message: str) -> None:
        self._problems.append(self._file.problem(keys, message))

    # --- general --------------------------------------------------------------------------------

    def _general(self) -> FastApi | None:
        general = self._mapping(("general",), self._data.get("general"))
        self._checked(General, ("general",), general)
        keys = ("general", "front_end")
        told = self._mapping(keys, general.get("front_end"))
        name = told.pop(_TYPE, "fastapi")
        if not isinstance(name, str) or name not in FRONT_ENDS:
            known = " and ".join(FRONT_ENDS)
            what = shown(name) if isinstance(name, str) else "this"
            message = f"{what} is not a front end that Forebay takes the place of: {known}."
            self._wrong((*keys, _TYPE), message)
            return None
        return self._checked(FRONT_ENDS[name], keys, told)

    def _checked(self, config: type[_Closed], keys: Keys, data: dict[str, Json]) -> _Closed | None:
        try:
            checked = config.model_validate(data)
        except pydantic.ValidationError as error:
            self._problems += problems_of(self._file, keys, config, error)
            return None
        self._unused += without_effect(self._file, keys, checked)
        return checked

    def _names(self, front_end: FastApi) -> None:
        """Look whether there is what the front end names."""
        groups = self._names_in("function_groups")
        for reference in references(self._file, ("general", "front_end"), front_end):
            known = self._names_in(reference.section)
            is_inside = reference.section == "functions" and is_of_group(reference.name, groups)
            if reference.name not in known and not is_inside:
                self._wrong(reference.keys, missing(reference, known))

    def _names_in(self, section: str) -> Collection[str]:
        found = self._data.get(section)
        return found.keys() if isinstance(found, dict) else ()

    # --- components -----------------------------------------------------------------------------

    def _components(self) -> Iterator[Component]:
        for section in SECTIONS:
            for name, value in self._mapping((section,), self._data.get(section)).items():
                yield from self._component(section, name, (section, name), value)
        workflow = self._data.get("workflow")
        if workflow is not None:
            yield from self._component("workflow", "workflow", ("workflow",), workflow)

    def _component(self, section: str, name: str, keys: Keys, value: Json) -> Iterator[Component]:
        if not isinstance(value, dict):
            self._wrong(keys, f"a component has `{_TYPE}: …`.")
            return
        kind = value.get(_TYPE)
        if not isinstance(kind, str) or not kind:
            self._wrong((*keys, _TYPE), "this key is needed: it says what it is.")
            return
        data = {key: each for key, each in value.items() if key != _TYPE}
        yield Component(section, name, kind, keys, data)

    def _mapping(self, keys: Keys, value: Json) -> dict[str, Json]:
        """A section as it stands there, or an empty one."""
        if isinstance(value, dict):
            return dict(value)
        if value is not None:
            self._wrong(keys, "this is a section with names below it.")
        return {}
