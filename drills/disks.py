"""A small disk that can be filled. Only root may make one; elsewhere this drill is left out."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_TOP_UP_SECONDS = 0.02
_PIECE = 4096


class SmallDisk:
    """A file system of its own in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    async def be_full(self, seconds: float) -> None:
        """Leave no space for so long, whatever others give back meanwhile."""
        give_up = asyncio.get_running_loop().time() + seconds
        try:
            while asyncio.get_running_loop().time() < give_up:
                self._fill()
                await asyncio.sleep(_TOP_UP_SECONDS)
        finally:
            self._filler.unlink(missing_ok=True)

    def _fill(self) -> None:
        with self._filler.open("ab") as file:
            while (free := self._free()) >= _PIECE:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                except OSError:
                    return  # somebody has taken some of it

    def _free(self) -> int:
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize


@contextmanager
def small_disk(
    folder: Path, megabytes: int, owner: str | None = None
) -> Generator[SmallDisk | None]:
    """Put one where this folder is; None if that is not possible here."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        yield None
        return
    options = f"size={megabytes}m,mode=0777"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        yield None
        return
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
