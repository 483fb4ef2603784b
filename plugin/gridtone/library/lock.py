"""One service a data directory."""

import fcntl
import os
from pathlib import Path


class DirectoryInUseError(Exception):
    """Another process holds the data directory."""


class DirectoryLock:
    """An advisory lock on `<directory>/lock`. The kernel drops it when its holder dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        """Raises DirectoryInUseError, with the holder's process id, if another process holds it."""
        path = directory / "lock"
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise DirectoryInUseError(
                f"{directory} is in use by another gridtone (process id {holder}): stop that one, or give this one a data directory of its own"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        self._file.close()
