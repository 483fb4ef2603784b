"""What the rules page can ask of a running site."""

import logging
import threading
import time
from functools import partial
from pathlib import Path

from gridtone.config import Site
from gridtone.documents import DocumentError
from gridtone.editing.checking import check_text
from gridtone.editing.comparing import compare
from gridtone.editing.helper import Helper
from gridtone.editing.rules_file import RulesFile
from gridtone.editing.views import Checked, Comparison, ConflictError, CurrentRules, RefusedError
from gridtone.library.errors import LibraryError
from gridtone.library.history import History
from gridtone.library.rules_version import FILE, PACK, RulesVersion, VersionLine
from gridtone.recent import Recent

log = logging.getLogger(__name__)

CHECK_SECONDS = 120.0
REPLAY_SECONDS = 240.0
DAY = 86400.0


class RulesDesk:
    """Rules checked, compared and saved. Safe to use from any thread."""

    def __init__(self, site: Site, file: RulesFile, history: History, recent: Recent) -> None:
        self._site, self._file, self._history, self._recent = site, file, history, recent
        self._checker, self._replayer = Helper(0), Helper(10)
        self._saving = threading.Lock()

    def close(self) -> None:
        self._checker.close()
        self._replayer.close()

    def current(self) -> CurrentRules:
        """Raises OSError or DocumentError where the file cannot be read."""
        found = self._file.read()
        newest = self._history.rules_version()
        line = VersionLine(newest.number, newest.time, newest.author, newest.reason, newest.restores) if newest and newest.text == found.text else None
        in_force = found.fingerprint == self._file.taken_over
        return CurrentRules(found.text, found.fingerprint, found.source, found.name, in_force, self._file.problem, line)

    def note(self) -> None:
        """Keep the rules that the service has taken over as a version, unless they are the newest one. Never stops anybody."""
        try:
            with self._saving:
                found, newest = self._file.read(), self._history.rules_version()
                if newest is None or newest.text != found.text:
                    author, reason = (PACK, f"pack {found.name}") if found.source == "pack" else (FILE, "")
                    self._history.add_rules_version(found.text, author, reason, time.time(), None, lambda: None)
        except (OSError, DocumentError, LibraryError) as error:
            log.error("these rules are not kept as a version: %s", error)

    def check(self, text: str) -> Checked:
        """Raises HelperError."""
        return self._checker.call(CHECK_SECONDS, check_text, text, self._file.path() or Path("rules.yaml"), self._site)

    def compare(self, text: str) -> Comparison:
        """The last day under the saved rules and under `text`, as far as readings are kept. Raises NoReadingsError, DocumentError, HelperError or OSError."""
        self._recent.write()
        now = time.time()
        current = self._file.read().text
        return self._replayer.call(REPLAY_SECONDS, compare, current, text, self._recent.folder, now - DAY, now, self._site)

    def save(self, text: str, base: str, author: str, reason: str, restores: int | None = None) -> RulesVersion:
        """Write the rules and keep them as a version; the service takes them over within a second or two. `base` is the fingerprint of what was edited.

        Raises RefusedError, ConflictError, HelperError, OSError where the file cannot be written, or LibraryError.
        """
        checked = self.check(text)
        if not checked.good:
            raise RefusedError("; ".join(f"line {mark.line}:{mark.column}: {mark.message}" for mark in checked.marks[:3]))
        with self._saving:
            found = self._file.read()
            if found.fingerprint != base:
                raise ConflictError("the rules were changed meanwhile")
            if found.text == text and found.source == "file":
                raise RefusedError("these are the rules as they are saved already")
            return self._history.add_rules_version(text, author, reason, time.time(), restores, partial(self._file.write, text, found.windows))

    def versions(self, limit: int, before: int | None) -> list[VersionLine]:
        """Newest first."""
        return self._history.rules_versions(limit, before)

    def version(self, number: int) -> RulesVersion | None:
        return self._history.rules_version(number)
