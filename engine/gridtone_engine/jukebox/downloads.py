"""Fetching the published files: resumed where a download stopped, with SHA-256 kept beside them.

OpenAI publishes no checksums. The first complete download is recorded in `SHA256SUMS`, in the form that `sha256sum -c` reads; every later check is
against that record, or against sums that you bring.
"""

import hashlib
import http
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.configs import MODELS

WEIGHTS = "https://openaipublic.azureedge.net/jukebox/models/"
LABEL_SETS = "https://raw.githubusercontent.com/openai/jukebox/08efbbc1d4ed1a3cef96e08a931944c8b4d63bb3/jukebox/data/ids/"
CHUNK = 1 << 20


class DownloadError(EngineError):
    """A file that could not be fetched, or is not what it was: the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Published:
    """A file that OpenAI publishes."""

    name: str
    """Where it goes in the folder of downloads."""
    url: str


def published_files(model: str) -> list[Published]:
    """What the model called `model` is made of."""
    if model not in MODELS:
        raise DownloadError(f"no published model is called {model!r}; there are {', '.join(MODELS)}")
    weights = ["5b/vqvae.pth.tar", *(f"{model if level == 2 else '5b'}/prior_level_{level}.pth.tar" for level in range(3))]
    return [*(Published(path, WEIGHTS + path) for path in weights), *(Published(name, LABEL_SETS + name) for name in MODELS[model].label_files)]


def fetch(url: str, path: Path, progress: Callable[[int, int | None], None] = lambda _done, _total: None, attempts: int = 5) -> None:
    """Fetch `url` to `path`, going on from `path.part` if a part of the same file is there. `progress` hears bytes done and bytes in all.

    Raises DownloadError when the server refuses, or after `attempts` broken connections.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, mark = path.with_name(path.name + ".part"), path.with_name(path.name + ".etag")
    for attempt in range(attempts):
        try:
            if _fetch_rest(url, part, mark, progress):
                part.replace(path)
                mark.unlink(missing_ok=True)
                return
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            if attempt == attempts - 1:
                raise DownloadError(f"{url}: {error}; {part} is kept, call again to go on from there") from error
    raise DownloadError(f"{url}: the connection broke {attempts} times; {part} is kept, call again to go on from there")


def _fetch_rest(url: str, part: Path, mark: Path, progress: Callable[[int, int | None], None]) -> bool:
    """One connection. True if the file is whole after it."""
    have = part.stat().st_size if part.exists() and mark.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": mark.read_text("utf-8")} if have else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:  # noqa: S310
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # another file than the part, or a server that cannot go on
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if tag:
            mark.write_text(tag, "utf-8")
        with part.open("ab" if have else "wb") as stream:
            while chunk := answer.read(CHUNK):
                stream.write(chunk)
                have += len(chunk)
                progress(have, total)
    return total is None or have == total


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record(folder: Path, name: str) -> None:
    """Write down the checksum of `name` in `folder`."""
    sums = recorded(folder) | {name: sha256(folder / name)}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items())), "utf-8")


def recorded(folder: Path) -> dict[str, str]:
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        return {}
    pairs = (line.split(maxsplit=1) for line in sums.read_text("utf-8").splitlines() if line.strip())
    return {name.lstrip("*"): digest for digest, name in pairs}


def verify(folder: Path) -> dict[str, str]:
    """What is wrong with the recorded files of `folder`, by name; empty if nothing is."""
    wrong = {}
    for name, digest in recorded(folder).items():
        path = folder / name
        if not path.exists():
            wrong[name] = "missing"
        elif sha256(path) != digest:
            wrong[name] = "not the file that was recorded: remove it and fetch it again"
    return wrong
