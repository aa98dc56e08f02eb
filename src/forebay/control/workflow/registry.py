"""Which types of components there are: the built-in ones, and those of installed plugins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeAlias, cast

import pydantic

from forebay.core.errors import ForebayError, WorkflowError
from forebay.ports.agent import Agent
from forebay.ports.components import Config, Parts, Registry
from forebay.ports.models import Embedder, Model
from forebay.ports.tools import Tool, ToolGroup

Section: TypeAlias = Literal["llms", "embedders", "functions", "function_groups"]
"""What holds components that can be built here. `workflow` takes what `functions` takes."""

Built: TypeAlias = Model | Embedder | Tool | Agent | ToolGroup

_GROUP = "forebay"


@dataclass(frozen=True, slots=True)
class Kind:
    """A `_type`: what may be said of it, and how it is built."""

    config: type[pydantic.BaseModel]
    build: Callable[[str, pydantic.BaseModel, Parts], Built]


class Components:
    """A Registry that remembers."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Kind] = {}

    def add_model(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Model]
    ) -> None:
        """A `_type` under `llms`."""
        self._add("llms", type, config, build)

    def add_embedder(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Embedder]
    ) -> None:
        """A `_type` under `embedders`."""
        self._add("embedders", type, config, build)

    def add_function(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Tool | Agent]
    ) -> None:
        """A `_type` under `functions`, or of `workflow`."""
        self._add("functions", type, config, build)

    def add_group(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], ToolGroup]
    ) -> None:
        """A `_type` under `function_groups`."""
        self._add("function_groups", type, config, build)

    def knows(self, section: str, type: str) -> bool:
        """Whether a component of this section and type can be built here."""
        return (_section(section), type) in self._kinds

    def kind(self, section: str, type: str) -> Kind:
        """How it is built. Raises KeyError for one that is not known."""
        return self._kinds[_section(section), type]

    def types(self, section: str) -> Sequence[str]:
        """Every `_type` of this section that can be built here, by name."""
        wanted = _section(section)
        return sorted(type for each, type in self._kinds if each == wanted)

    def _add(
        self,
        section: Section,
        type: str,
        config: type[Config],
        build: Callable[[str, Config, Parts], Built],
    ) -> None:
        if (section, type) in self._kinds:
            raise WorkflowError(f"Two components bring the type {type!r} of `{section}`.")
        build_any = cast("Callable[[str, pydantic.BaseModel, Parts], Built]", build)
        self._kinds[section, type] = Kind(config, build_any)


def add_plugins(registry: Registry) -> None:
    """Let the installed plugins add their types. Raises WorkflowError naming one that cannot."""
    for plugin in entry_points(group=_GROUP):
        _add_plugin(plugin, registry)


def _add_plugin(plugin: EntryPoint, registry: Registry) -> None:
    package = plugin.dist.name if plugin.dist is not None else "an unknown package"
    try:
        plugin.load()(registry)
    except Exception as error:  # what others have written may raise anything
        reason = (
            error.message if isinstance(error, ForebayError) else f"{type(error).__name__}: {error}"
        )
        message = f"The plugin {plugin.name} ({plugin.value}, of {package}) fails: {reason}"
        raise WorkflowError(message) from error


def _section(name: str) -> str:
    return "functions" if name == "workflow" else name
