"""What commands say of the workflow file that is in use."""

from typing import TYPE_CHECKING

from forebay.core.json import Json

if TYPE_CHECKING:
    from forebay.app.workflow import Described

_RUNTIMES = {"native": "run by Forebay itself", "nat": "run by NVIDIA NeMo Agent Toolkit"}


def name_of(described: "Described") -> str:
    """The file, and what runs it."""
    return f"{described.path}, {_RUNTIMES[described.runtime]}"


def lines_of(described: "Described | None") -> list[str]:
    """For people, below the lines of a banner."""
    if described is None:
        return []
    lines = [f"  workflow  {name_of(described)}"]
    if described.unused:
        lines.append(f"            without effect here: {', '.join(described.unused)}")
    return lines


def told(described: "Described | None") -> Json:
    """For programs."""
    if described is None:
        return None
    return {
        "file": str(described.path),
        "runtime": described.runtime,
        "without_effect": list[Json](described.unused),
    }
