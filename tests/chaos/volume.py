"""A small file system of its own below a folder, which a test can fill to the last byte and free again.

Where mounting is not permitted it is an ordinary folder, and `is_small` says so: then nothing can be filled.
"""

import errno
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

BALLAST = "ballast"
CHUNK = 1 << 20


@dataclass
class Volume:
    """`mount` and `unmount` are its life."""

    folder: Path
    size_mb: int
    is_small: bool = False

    def mount(self) -> None:
        self.folder.mkdir(parents=True)
        mount = shutil.which("mount") or "/bin/mount"
        options = ["-t", "tmpfs", "-o", f"size={self.size_mb}m,mode=0755", "tmpfs", str(self.folder)]
        done = subprocess.run([mount, *options], check=False, capture_output=True)
        self.is_small = done.returncode == 0

    def unmount(self) -> None:
        if self.is_small:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Not a byte is left."""
        assert self.is_small, "an ordinary folder cannot be filled"
        for size in (CHUNK, 4096, 1):
            self._append_until_full(bytes(size))

    def free(self) -> None:
        (self.folder / BALLAST).unlink(missing_ok=True)

    def _append_until_full(self, piece: bytes) -> None:
        with (self.folder / BALLAST).open("ab", buffering=0) as ballast:
            while True:
                try:
                    ballast.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return
