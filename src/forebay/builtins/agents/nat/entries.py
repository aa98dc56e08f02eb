"""What a workflow file offers to callers, read without NAT: its workflow, and named functions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from forebay.core.errors import WorkflowError
from forebay.core.json import Json

WORKFLOW = "workflow"
"""The name of the agent that runs the file's `workflow`."""

_GROUP_SEPARATORS = ("__", ".")  # between a function group's name and its function's


class Entry(NamedTuple):
    """Something in a workflow file that can be run."""

    agent: str
    function: str | None
    """The function it runs; None: the workflow."""
    description: str


def entries_of(data: Mapping[str, Json], source: str) -> Sequence[Entry]:
    """The workflow, and the functions that `front_end.endpoints` name. Raises WorkflowError."""
    workflow = _section(data, WORKFLOW)
    if not workflow:
        raise WorkflowError(f"{source}: there is no `workflow`.")
    entries = {WORKFLOW: Entry(WORKFLOW, None, _description(workflow, {}))}
    functions = _section(data, "functions")
    endpoints = _section(data, "general", "front_end").get("endpoints")
    for number, endpoint in enumerate(endpoints if isinstance(endpoints, list) else ()):
        said = endpoint if isinstance(endpoint, dict) else {}
        name = said.get("function_name")
        if not isinstance(name, str):
            continue  # NAT itself says what is wrong with it
        place = f"{source}: general.front_end.endpoints[{number}].function_name"
        if name == WORKFLOW:
            raise WorkflowError(f"{place}: {name!r} is the name of the workflow.")
        if name not in functions and not _is_in_a_group(name, _section(data, "function_groups")):
            raise WorkflowError(f"{place}: there is no function {name!r}.")
        config = functions.get(name)
        described = _description(config if isinstance(config, dict) else {}, said)
        entries.setdefault(name, Entry(name, name, described))
    return list(entries.values())


def _section(data: Mapping[str, Json], *keys: str) -> Mapping[str, Json]:
    for key in keys:
        inner = data.get(key)
        data = inner if isinstance(inner, dict) else {}
    return data


def _is_in_a_group(name: str, groups: Mapping[str, Json]) -> bool:
    return any(name.startswith(group + each) for group in groups for each in _GROUP_SEPARATORS)


def _description(config: Mapping[str, Json], endpoint: Mapping[str, Json]) -> str:
    for said in (config.get("description"), endpoint.get("description")):
        if isinstance(said, str) and said:
            return said
    return f"NAT workflow ({cast(object, config.get('_type', 'unknown type'))})"
