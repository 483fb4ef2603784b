"""Who changed what: a log that only grows, each entry sealed with the hash of the one before.

    backend.audit.record(person(), "rules_saved", "rules.yaml", {"version": 7, "reason": "new limit for HV-12"})

The database refuses to change or remove an entry. Whoever can do so all the same, with the database's own tools, breaks the chain, and `gridtone audit verify`
says where. An entry's seal is in the service's log too, so that a chain cut short shows where that log is kept elsewhere. Nothing secret may enter an entry.
"""

import hashlib
import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from gridtone.library.database import DatabaseError, open_database
from gridtone.library.errors import LibraryError
from gridtone.library.settings import LibrarySettings
from gridtone.library.tables import AuditRow
from gridtone.person import Person

log = logging.getLogger(__name__)

FIRST = "0" * 64
"""What the first entry has for the hash of the one before it."""
PATIENCE_SECONDS = 2.0
"""For another process that is writing an entry."""


class AuditError(ValueError):
    """The log was tampered with: the message says where."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    number: int
    """From 1, without a gap."""
    time: float
    person: str
    role: str
    """Empty where the service itself acts."""
    action: str
    """A fixed word, such as `rules_saved`; docs/security.md lists them."""
    what: str
    """What was acted on, such as a file or a token's name."""
    detail: str
    """A JSON object, as it was sealed."""
    previous: str
    """`hash` of the entry before."""
    hash: str
    """SHA-256 of the fields above, in this order, as a JSON array in UTF-8 without spaces."""

    def seal(self) -> str:
        return hashlib.sha256(msgspec.json.encode(astuple(self)[:-1])).hexdigest()


def told(detail: Mapping[str, Any]) -> str:
    """A detail as an entry has it."""
    return msgspec.json.encode(detail, order="deterministic").decode()


class Audit:
    """The log in one database. Safe to use from any thread, and from several processes at once."""

    def __init__(self, database: Engine) -> None:
        self._sessions = sessionmaker(database)
        self._lock = threading.Lock()
        self.problem = ""
        """Why the newest entry could not be written; empty when it was."""

    def record(self, person: Person | None, action: str, what: str, detail: Mapping[str, Any] | None = None) -> None:
        """Write down that `person` (None: the service itself) did `action` to `what`. If the database refuses, the service's log has it."""
        who = (person.name, person.role) if person else ("gridtone", "")
        try:
            with self._lock:
                entry = self._append(*who, action, what, told(detail or {}))
        except SQLAlchemyError as error:
            self.problem = (
                f"the audit log could not be written ({getattr(error, 'orig', None) or error}): see that the database's disk has room and is writable"
            )
            log.error("%s; unwritten: %s %s, %s %s %s", self.problem, *who, action, what, detail or {})
        else:
            self.problem = ""
            log.info("audit %d: %s %s %s %s, sealed %s", entry.number, entry.person, entry.action, entry.what, entry.detail, entry.hash)

    def entries(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """The newest first, below the number `before`."""
        query = select(AuditRow).order_by(AuditRow.number.desc()).limit(limit)
        with self._lock, self._sessions() as session:
            rows = session.scalars(query if before is None else query.where(AuditRow.number < before))
            return [_entry(row) for row in rows]

    def last(self, action: str) -> AuditEntry | None:
        """The newest entry of a kind."""
        with self._lock, self._sessions() as session:
            row = session.scalar(select(AuditRow).where(AuditRow.action == action).order_by(AuditRow.number.desc()).limit(1))
            return _entry(row) if row else None

    def verified(self, since: float = 0.0) -> Iterator[AuditEntry]:
        """Every entry from the time `since` on, oldest first, while the chain is followed from its beginning.

        Raises AuditError at the first that was tampered with.
        """
        number, previous = 0, FIRST
        with self._sessions() as session:
            for row in session.scalars(select(AuditRow).order_by(AuditRow.number).execution_options(yield_per=1000)):
                entry = _entry(row)
                number += 1
                if entry.number != number:
                    raise AuditError(f"entry {number} of the audit log is missing: it was removed after it was written")
                if entry.previous != previous or entry.hash != entry.seal():
                    raise AuditError(f"entry {number} of the audit log does not match its seal: it, or the one before it, was changed after it was written")
                previous = entry.hash
                if entry.time >= since:
                    yield entry

    def _append(self, person: str, role: str, action: str, what: str, detail: str) -> AuditEntry:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._sessions.begin() as session:
                    number, previous = self._head(session)
                    entry = AuditEntry(number + 1, time.time(), person, role, action, what, detail, previous, "")
                    entry = replace(entry, hash=entry.seal())
                    session.add(AuditRow(**asdict(entry)))
                return entry
            except (IntegrityError, OperationalError) as error:
                another_writes = isinstance(error, IntegrityError) or "locked" in str(error.orig)
                if not another_writes or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.002, 0.02))  # noqa: S311

    def _head(self, session: Session) -> tuple[int, str]:
        row = session.execute(select(AuditRow.number, AuditRow.hash).order_by(AuditRow.number.desc()).limit(1)).first()
        return (row.number, row.hash) if row else (0, FIRST)


def open_audit(settings: LibrarySettings, data_dir: Path) -> Audit:
    """The log of a library, which a service may have open. Raises LibraryError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return Audit(open_database(settings.database or f"sqlite:///{data_dir / 'gridtone.db'}"))
    except DatabaseError as error:
        raise LibraryError(f"the audit log cannot be opened: {error}") from error


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(*(getattr(row, field.name) for field in fields(AuditEntry)))
