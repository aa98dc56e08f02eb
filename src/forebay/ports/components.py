"""Components: how providers, tools and kinds of agents become known by a type's name.

A plugin's entry point of the group `forebay` names a function that is called with a Registry. The
built-in ones come through the same door.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import pydantic

from forebay.core.clock import Clock

from .agent import Agent
from .http import HttpClient
from .models import Embedder, Model, Models
from .tools import Tool, ToolGroup, Tools

Config = TypeVar("Config", bound=pydantic.BaseModel)
"""What a workflow file says of a component, besides its `_type`. Unknown keys are errors if the
class forbids them. A field that was only accepted for compatibility has
`json_schema_extra={"has_effect": False}`, and is named at the start when a file sets it. A field
that names other components has `json_schema_extra={"refers_to": "llms"}`, or `"embedders"`, or
`"functions"` (also those of groups, and whole groups); its value is a name, or a list or the values
of a dictionary of names, or null. What it names has to be there, and functions may not lead to
themselves. Without a mark the fields `llm_name`, `embedder_name` and `tool_names` are understood
as well."""


class Parts(Protocol):
    """What a component may use, from when it is called first."""

    @property
    def http(self) -> HttpClient: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def models(self) -> Models: ...

    @property
    def tools(self) -> Tools: ...

    def agent(self, name: str) -> Agent:
        """Another function of the same file that is an agent. Raises AgentNotFound."""
        ...


class Registry(Protocol):
    """Takes components. Each `build` gets the component's name, its configuration and the parts."""

    def add_model(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Model]
    ) -> None:
        """A `_type` under `llms`."""
        ...

    def add_embedder(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Embedder]
    ) -> None:
        """A `_type` under `embedders`."""
        ...

    def add_function(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Tool | Agent]
    ) -> None:
        """A `_type` under `functions`, or of `workflow`."""
        ...

    def add_group(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], ToolGroup]
    ) -> None:
        """A `_type` under `function_groups`."""
        ...
