"""The file that the rules of a running site live in: read, watched, and written as it is typed. Comments, order and line endings stay."""

import hashlib
import logging
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

from gridtone.config import Site, load_site
from gridtone.documents import DocumentError, read_document
from gridtone.editing.views import Source
from gridtone.library.store import write_synced
from gridtone.rules import Rules, pack_file
from gridtone.rules.source import Pack, own_copy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of rules as it lies on disk, good or not."""

    source: Source
    name: str
    text: str
    fingerprint: str
    """SHA-256 of the file."""
    windows: bool
    """Its lines end as on Windows."""


class RulesFile:
    """Looked at for changes. A bad save keeps the rules before it."""

    def __init__(self, site: Site, config: Path | None) -> None:
        """`config` is where inline rules are saved."""
        self._site, self._config = site, config
        self._stamp = self._look()
        self.problem = ""
        """Why the newest save is not in force."""
        self.news = False
        """A save was taken over or refused since this was last set to False."""
        self.taken_over = self._fingerprint()
        """The fingerprint of the rules in force: those at the beginning, which the service refuses to start without, or the last that `changed` returned."""

    def path(self) -> Path | None:
        """The file that is read now; None for inline rules of no file."""
        match self._site.rules:
            case Rules():
                return self._config
            case Pack(pack=name):
                return self._site.rules_file() or pack_file(name)
            case file:
                return file

    def read(self) -> Found:
        """Raises OSError, or DocumentError where the site's file is none."""
        path = self.path()
        raw = path.read_bytes() if path else b""
        text = raw.decode("utf-8-sig", errors="replace")
        windows = "\r\n" in text
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        fingerprint = hashlib.sha256(raw).hexdigest()
        if isinstance(self._site.rules, Rules):
            return Found("inline", str(path or "the environment"), _inline(path) if path else "", fingerprint, windows)
        if isinstance(self._site.rules, Pack) and path != self._own_copy():
            return Found("pack", self._site.rules.pack, text, fingerprint, windows)
        return Found("file", str(path), text, fingerprint, windows)

    def write(self, text: str, windows: bool = False) -> None:
        """Replace the file, whole or not at all; a pack is left as it is, and the site's own copy is written. Raises OSError, also for inline rules."""
        if isinstance(self._site.rules, Rules):
            raise OSError("the rules stand in the site's file: put them into a file of their own, and name it there as `rules:`")
        path = self._own_copy() or self.path()
        assert path
        path = path.resolve()
        content = (text.replace("\n", "\r\n") if windows else text).encode()
        incoming = path.with_name(f".{path.name}.incoming")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_synced(incoming, content)
            if path.exists():
                shutil.copymode(path, incoming)
            incoming.replace(path)
        except OSError:
            incoming.unlink(missing_ok=True)
            if not path.exists():
                raise
            write_synced(path, content)  # a file that is mounted by itself, or in a folder of somebody else's, can be written but not replaced

    def changed(self) -> Rules | None:
        """The rules, if they were saved since the last call and are good."""
        stamp = self._look()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        self.news = True
        try:
            fingerprint = self._fingerprint()
            rules = load_site(self._config).load_rules() if isinstance(self._site.rules, Rules) else self._site.load_rules()
        except DocumentError as error:
            self.problem = str(error)
            log.error("the rules were not taken over, those before them stay in force:\n%s", error)
            return None
        except Exception as error:  # whatever it is, whoever saved must see that the save is not in force
            self.problem = f"{self.path()} cannot be read ({type(error).__name__}: {error}); see the log"
            log.exception("the rules were not taken over, those before them stay in force")
            return None
        self.problem, self.taken_over = "", fingerprint
        log.info("rules reloaded from %s", self.path())
        return rules

    def _own_copy(self) -> Path | None:
        return own_copy(self._site.rules, self._site.data) if isinstance(self._site.rules, Pack) else None

    def _look(self) -> tuple[Path, int, int] | None:
        """Changes when the file does; None while there is none, as for a moment when an editor replaces it."""
        path = self.path()
        try:
            stat = path.stat() if path else None
        except OSError:
            return None
        return (path, stat.st_mtime_ns, stat.st_size) if path and stat else None

    def _fingerprint(self) -> str:
        try:
            return self.read().fingerprint
        except (OSError, DocumentError):
            return ""


def _inline(config: Path) -> str:
    """The rules that stand in a site's file."""
    document = read_document(config)
    return textwrap.dedent(document.source(("rules",))) if ("rules",) in document else ""
