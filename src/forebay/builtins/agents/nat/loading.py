"""Loading: NAT is imported, with the plugins of this environment, and reads the file.

It takes seconds and is done once, in a thread.
"""

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.core.errors import WorkflowError
from forebay.core.json import Json

if TYPE_CHECKING:
    from .toolkit import Config

AGAIN_SECONDS = 5.0
"""How long what could not be built is not tried again."""

_PACKAGE = "nvidia-nat-core"
_OLDEST = (1, 9)
_NEXT = (2, 0)


class BuildError(WorkflowError):
    """NAT cannot build this workflow."""

    def __init__(self, message: str, *, lasts: bool) -> None:
        super().__init__(message)
        self.lasts = lasts
        """Whether the next attempt would fail as well."""


def is_installed() -> bool:
    """Whether this interpreter has NAT. Imports nothing of it."""
    found = importlib.util.find_spec("nat")
    folders = (found.submodule_search_locations if found else None) or ()
    return any((Path(folder) / "runtime" / "loader.py").is_file() for folder in folders)


def load(data: Mapping[str, Json], source: str, prepare: Callable[[], None]) -> "Config":
    """NAT's configuration of a file, after whatever is to be imported before.

    Raises WorkflowError, and whatever `prepare` raises.
    """
    _check_version()
    with warnings.catch_warnings(record=True):  # packages warn one another of what they import
        try:
            from . import toolkit
        except Exception as error:  # a package of other versions may raise anything
            raise WorkflowError(f"{_PACKAGE} cannot be imported: {error}.") from error
        toolkit.register_plugins()
        prepare()
        return toolkit.read_config(data, source)


def _check_version() -> None:
    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return  # built by hand: let us see
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdecimal())
    if not _OLDEST <= numbers < _NEXT:
        raise WorkflowError(
            f"{_PACKAGE} {version} is installed; Forebay runs workflows under 1.9 and newer 1.x."
        )
