"""Turns: what a new run of a session means for the unfinished ones that came before it."""

from typing import Literal, TypeAlias, get_args

SessionPolicy: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
"""It waits for them; it is refused; they are ended and it waits for that; or neither cares."""

SESSION_POLICIES: tuple[SessionPolicy, ...] = get_args(SessionPolicy)
