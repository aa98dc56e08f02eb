"""Agent sources: strings that every process loads the same way.

`agents.py` is a file, `package.module` a module, `package.module:name` one agent or tool of it.
The tools of a module come with its agents.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from forebay.authoring import agent_in, tool_in
from forebay.core.errors import AgentLoadError, ForebayError
from forebay.ports.agent import Agent
from forebay.ports.tools import Tool


class Loaded(NamedTuple):
    """What a source defines."""

    agents: Sequence[Agent] = ()
    tools: Sequence[Tool] = ()


def load_source(source: str) -> Sequence[Agent]:
    """Import a source and return the agents it defines. Raises AgentLoadError."""
    loaded = load(source)
    if not loaded.agents:
        raise AgentLoadError(f"{source} defines no agent: decorate a function with @forebay.agent.")
    return loaded.agents


def load(source: str) -> Loaded:
    """Import a source, which defines an agent or a tool at least. Raises AgentLoadError."""
    module_name, _, wanted = source.partition(":")
    module = (
        _import_file(Path(module_name)) if module_name.endswith(".py") else _import(module_name)
    )
    things = list(vars(module).values())
    agents = {agent.name: agent for thing in things if (agent := agent_in(thing))}
    tools = {tool.name: tool for thing in things if (tool := tool_in(thing))}
    if wanted:
        thing = getattr(module, wanted, None)
        if (agent := agents.get(wanted) or agent_in(thing)) is not None:
            return Loaded([agent], list(tools.values()))
        if (tool := tools.get(wanted) or tool_in(thing)) is not None:
            return Loaded((), [tool])
        raise AgentLoadError(f"{module_name} has no agent {wanted!r}. It has: {_names(agents)}.")
    if not agents and not tools:
        raise AgentLoadError(
            f"{source} defines no agent and no tool: decorate a function with @forebay.agent "
            "or @forebay.tool."
        )
    return Loaded(list(agents.values()), list(tools.values()))


def import_modules(names: Sequence[str]) -> None:
    """Import modules, or files, for what they do when they are. Raises AgentLoadError."""
    for name in names:
        if name.endswith(".py"):
            _import_file(Path(name))
        else:
            _import(name)


def code_of(sources: Sequence[str], files: Sequence[Path] = ()) -> str:
    """A digest of the files of sources that were loaded, and of others that runs depend on.

    Another one, and the code has changed.
    """
    digest = sha256()
    for path in files:
        digest.update(path.read_bytes())
    for source in sources:
        name = source.partition(":")[0]
        file = name if name.endswith(".py") else getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16] if sources or files else ""


def _names(found: dict[str, Agent]) -> str:
    return ", ".join(sorted(found)) or "none"


def _import(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module of the user may raise anything
        raise AgentLoadError(f"{name} cannot be imported: {_reason(error)}") from error


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise AgentLoadError(f"There is no file {path}.")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise AgentLoadError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a module of the user may raise anything
        raise AgentLoadError(f"{path} cannot be imported: {_reason(error)}") from error
    return module


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError | SyntaxError | ForebayError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
