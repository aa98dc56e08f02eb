"""What one run may use. Resolved once, stored in the run's first entry, never asked for again."""

import msgspec


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits a run was started with. None means: not limited."""

    models: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    indexes: tuple[str, ...] | None = None
    deadline_seconds: float | None = None
    max_steps: int | None = None
    """How many steps the run may begin, over all of its attempts."""
    max_tokens: int | None = None
    """How many tokens its models may consume, over all of its attempts."""
    max_cost_usd: float | None = None
    """How much the calls of its models may cost, over all of its attempts."""


UNLIMITED = Grant()
