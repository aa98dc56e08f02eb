"""What a workflow file says about settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forebay.core.errors import SettingError

from .environment import DOTENV, Environment, read_environment
from .values import Settings, Value

if TYPE_CHECKING:
    # Reading YAML and checking it is not for those who have no workflow file.
    from forebay.control.workflow.places import Place
    from forebay.control.workflow.reading import WorkflowFile


class FromFile(NamedTuple):
    """A value, and where it stands."""

    value: Value
    place: "Place"


def workflow_file(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = DOTENV,
) -> "WorkflowFile | None":
    """The workflow file that the settings name. Raises WorkflowError."""
    environment = read_environment(environ, dotenv)
    return read_file(settings.config_file, settings.overrides, environment)


def read_file(
    name: str | None, overrides: Sequence[str], environment: Environment
) -> "WorkflowFile | None":
    """A workflow file with overrides as `KEY=VALUE`. Raises SettingError, WorkflowError."""
    if not name:
        if overrides:
            raise SettingError(
                "overrides: --override and NAT's options for its front end are for a workflow "
                "file; name it with --config_file."
            )
        return None
    from forebay.control.workflow.reading import read_workflow

    pairs: list[tuple[str, str]] = []
    for each in overrides:
        key, equals, value = each.partition("=")
        if not equals:
            raise SettingError("overrides: each is KEY=VALUE, one a line.")
        pairs.append((key.strip(), value))
    return read_workflow(Path(name), environment.all(), pairs)


def values_of(file: "WorkflowFile", *, is_strict: bool) -> dict[str, FromFile]:
    """The settings that stand in a file. Raises WorkflowError for a wrong one, if it is strict."""
    from forebay.control.workflow.structure import read_structure

    structure = read_structure(file)
    if is_strict:
        structure.refuse_problems()
    return {name: FromFile(value, file.place(keys)) for name, keys, value in structure.settings()}
