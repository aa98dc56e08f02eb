"""The runtime profile: whether other machines may be called. What cannot be read means offline."""

from pathlib import Path
from typing import Literal, Protocol, TypeAlias

ProfileName: TypeAlias = Literal["online", "offline"]

_MOST_BYTES = 64  # more is something else


class Profile(Protocol):
    """What is asked before each call."""

    @property
    def is_online(self) -> bool:
        """Whether other machines may be called now."""
        ...

    @property
    def remedy(self) -> str:
        """How to get online: the end of a sentence."""
        ...


class RuntimeProfile:
    """The profile as it is set, or as a file says, which is read whenever somebody asks."""

    def __init__(self, setting: ProfileName = "online", *, file: Path | None = None) -> None:
        self._setting: ProfileName = setting
        self._file = file

    @property
    def name(self) -> ProfileName:
        """The profile now."""
        if self._file is None:
            return self._setting
        # Read each time: it takes 20 µs, and a change is never missed, however quick it was.
        return "online" if _content(self._file) == b"online" else "offline"

    @property
    def is_online(self) -> bool:
        """Whether other machines may be called now."""
        return self.name == "online"

    @property
    def remedy(self) -> str:
        """How to get online: the end of a sentence."""
        if self._file is None:
            return "set FOREBAY_RUNTIME_PROFILE to online"
        return "write online into the file that FOREBAY_RUNTIME_PROFILE_FILE names"


def _content(file: Path) -> bytes | None:
    try:
        if not file.is_file():  # a pipe would make everybody wait
            return None
        with file.open("rb") as profile:
            content = profile.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        return None
    return content.strip() if len(content) <= _MOST_BYTES else None
