"""Names of components in components: each has to be there, and functions may not go in circles."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pydantic

from .fields import Reference, is_of_group, missing, references
from .places import Problem
from .reading import WorkflowFile
from .structure import Component, Structure

_FUNCTIONS = "functions"
_GROUPS = "function_groups"
_WORKFLOW = "workflow"


def problems_of_references(
    file: WorkflowFile,
    structure: Structure,
    checked: Iterable[tuple[Component, pydantic.BaseModel]],
    others: Collection[str],
) -> Iterator[Problem]:
    """What is wrong with the names; `others` may be named where functions are."""
    names = _Names(structure.components, others)
    yield from names.problems(file)
    leads: dict[str, dict[str, Reference]] = {}
    for component, config in checked:
        for reference in references(file, component.keys, config):
            if not names.has(reference):
                message = missing(reference, names.of(reference.section))
                yield file.problem(reference.keys, message)
            elif reference.section == _FUNCTIONS and component.section in (_FUNCTIONS, _WORKFLOW):
                leads.setdefault(component.name, {}).setdefault(reference.name, reference)
    for circle, reference in _circles(leads):
        told = " → ".join(circle)
        yield file.problem(reference.keys, f"functions lead to themselves: {told}.")


class _Names:
    def __init__(self, components: Sequence[Component], others: Collection[str]) -> None:
        self._sections: dict[str, dict[str, Component]] = {}
        for each in components:
            self._sections.setdefault(each.section, {})[each.name] = each
        self._others = others

    def of(self, section: str) -> Collection[str]:
        """Everything that may be named where this section's components are."""
        own = self._sections.get(section, {})
        if section != _FUNCTIONS:
            return own
        return {*own, *self._sections.get(_GROUPS, {}), *self._others}

    def has(self, reference: Reference) -> bool:
        name = reference.name
        if name in self.of(reference.section):
            return True
        groups = self._sections.get(_GROUPS, {})
        return reference.section == _FUNCTIONS and is_of_group(name, groups)

    def problems(self, file: WorkflowFile) -> Iterator[Problem]:
        """One name for two things."""
        functions = self._sections.get(_FUNCTIONS, {})
        for name, group in self._sections.get(_GROUPS, {}).items():
            if name in functions:
                place = functions[name].keys
                yield file.problem(group.keys, f"a function has this name, at {file.place(place)}.")
        if _WORKFLOW in functions and _WORKFLOW in self._sections:
            keys = functions[_WORKFLOW].keys
            yield file.problem(keys, "a function needs another name beside a workflow.")


def _circles(
    leads: Mapping[str, Mapping[str, Reference]],
) -> Iterator[tuple[list[str], Reference]]:
    """Every way that leads back to where it began, once, with the name that closes it."""
    done: set[str] = set()

    def look(name: str, way: list[str]) -> Iterator[tuple[list[str], Reference]]:
        for other, reference in leads.get(name, {}).items():
            if other in way:
                yield [*way[way.index(other) :], other], reference
            elif other not in done:
                yield from look(other, [*way, other])
        done.add(name)

    for name in leads:
        if name not in done:
            yield from look(name, [name])
