"""Audio files, each under its track's id: `ab/abcdef....flac`."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

_AUDIO_NAME = re.compile(r"[0-9a-f]{64}\.(flac|opus)")


class Store:
    """A folder, or anything that fsspec reaches by URL. A file appears under its name whole or not at all."""

    def __init__(self, url: str, data_dir: Path) -> None:
        """Raises OSError, ImportError or ValueError if `url` cannot be used."""
        self.url = url
        self._files, self._root = url_to_fs(url)
        self._local = isinstance(self._files, LocalFileSystem)
        incoming = (Path(self._root) if self._local else data_dir) / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        self.incoming = Path(tempfile.mkdtemp(dir=incoming))
        """Where new files are written before `put`. Anew at every start, so that nothing that still runs from before a crash can write here."""

    def put(self, source: Path, name: str) -> None:
        """Take the finished and synced file `source` over. Raises OSError."""
        target = self._path(name)
        if not self._local:
            self._files.put_file(str(source), target)
            source.unlink()
            return
        folder = Path(target).parent
        folder.mkdir(exist_ok=True)
        source.replace(target)
        for directory in (folder, folder.parent):
            _sync(directory)

    def open(self, name: str) -> tuple[BinaryIO, int] | None:
        """A seekable file and its size in bytes, or None if there is none."""
        path = self._path(name)
        try:
            if self._local:
                file = Path(path).open("rb")  # noqa: SIM115 (whoever asked closes it)
                return file, os.fstat(file.fileno()).st_size
            return cast(BinaryIO, self._files.open(path, "rb")), int(self._files.size(path))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove the file, if it is there. Raises OSError."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def sizes(self) -> dict[str, int]:
        """Name -> bytes of every audio file. Files with other names belong to someone else and are not seen."""
        self._files.invalidate_cache()
        found = self._files.find(self._root, detail=True)
        names = ((path.rsplit("/", 1)[-1], info["size"]) for path, info in found.items())
        return {name: size for name, size in names if _AUDIO_NAME.fullmatch(name)}

    def owner(self) -> str | None:
        """The id of the library that this store belongs to; None while it belongs to none."""
        path = f"{self._root}/library-id"
        return str(self._files.cat_file(path).decode()) if self._files.exists(path) else None

    def claim(self, library_id: str) -> None:
        self._files.pipe_file(f"{self._root}/library-id", library_id.encode())

    def close(self) -> None:
        shutil.rmtree(self.incoming, ignore_errors=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"


def write_synced(path: Path, content: bytes) -> None:
    """Write a file that survives a power cut from here on. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
