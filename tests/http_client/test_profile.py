"""The runtime profile: as set, or as a file says; what cannot be read means offline."""

import os
from pathlib import Path

import pytest

from forebay.builtins.profile import RuntimeProfile


def test_without_a_setting_the_profile_is_online() -> None:
    assert RuntimeProfile().is_online


def test_a_profile_is_as_it_is_set() -> None:
    assert not RuntimeProfile("offline").is_online
    assert RuntimeProfile("offline").name == "offline"


@pytest.mark.parametrize("content", [b"online", b"online\n", b"  online\r\n"])
def test_a_file_says_online(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "profile"
    file.write_bytes(content)
    assert RuntimeProfile("offline", file=file).name == "online"


@pytest.mark.parametrize(
    "content",
    [b"offline", b"offline\n", b"", b"on line", b"ONLINE", b"online offline", b"online\nx",
     b"\xff\xfe", b"online" + b" " * 100 + b"x", b"\xef\xbb\xbfonline", b"\x00online"],
)  # fmt: skip
def test_a_file_that_says_anything_else_means_offline(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "profile"
    file.write_bytes(content)
    assert RuntimeProfile("online", file=file).name == "offline"


def test_a_file_that_cannot_be_read_means_offline(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    nothing = tmp_path / "none" / "profile"
    for file in (tmp_path / "missing", tmp_path, pipe, loop, nothing, Path("a\0b")):
        assert not RuntimeProfile("online", file=file).is_online


def test_a_change_of_the_file_is_seen_at_once(tmp_path: Path) -> None:
    file = tmp_path / "profile"
    profile = RuntimeProfile("online", file=file)
    for _ in range(20):
        file.write_text("online\n")
        assert profile.is_online
        file.write_text("offline")  # as long as the other one
        assert not profile.is_online
    file.unlink()
    assert not profile.is_online
