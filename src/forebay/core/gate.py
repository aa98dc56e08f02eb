"""Whether what nearly everything needs is there: the database, most of all."""

from dataclasses import dataclass, field

from .errors import ForebayError, Starting


@dataclass(slots=True)
class Gate:
    """Closed with the reason, or open."""

    closed_by: ForebayError | None = field(default_factory=Starting)
