"""What happened: cues, plays, failures, states, versions of the rules. The half of the library that holds no audio.

What is written here must never stop the music: where the database refuses a write (a full disk, say), the music goes on, the refusal is logged, and `problem`
says so until a write succeeds.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from gridtone.cue import Cue
from gridtone.library.errors import LibraryError
from gridtone.library.listening import Feedback, Play
from gridtone.library.rules_version import RulesVersion, VersionLine
from gridtone.library.span import StateSpan
from gridtone.library.tables import FailureRow, FeedbackRow, MemoryRow, PlayRow, RulesVersionRow, SpanRow, TrackRow
from gridtone.words import Words

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")

_LINE = [getattr(RulesVersionRow, column.name) for column in fields(VersionLine)]
_VERSION = [*_LINE, RulesVersionRow.text]


@dataclass(frozen=True, slots=True)
class TrackFailure:
    """A track that failed the gate, or that no engine could make."""

    state: str
    text: str
    engine: str
    seed: int
    reasons: list[str]
    time: float


class History:
    """Reads from any thread at once; writes one after the other."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._sessions = sessionmaker(database, expire_on_commit=False)
        self._write_lock = threading.Lock()
        self._unwritten = ""

    def record_cue(self, cue: Cue) -> None:
        """Remember the newest cue over restarts, and count the play if one begins with it."""
        with self._remembering("the cue") as session:
            last = session.get(MemoryRow, "cue")
            goes_on = last is not None and cue.track is not None and last.value["time"] == cue.time and (last.value["track"] or {}).get("id") == cue.track.id
            set_value(session, "cue", msgspec.to_builtins(cue))
            if cue.track and not goes_on:
                session.add(PlayRow(track_id=cue.track.id, state=cue.state, time=cue.time))
                session.execute(update(TrackRow).where(TrackRow.id == cue.track.id).values(plays=TrackRow.plays + 1, last_played=cue.time))

    def last_cue(self) -> Cue | None:
        """The newest cue from before a restart."""
        with self._sessions() as session:
            row = session.get(MemoryRow, "cue")
            return msgspec.convert(row.value, Cue) if row else None

    def remember(self, name: str, value: Any) -> bool:
        """Keep a dataclass over restarts, instead of what was kept under that name; False where the database refuses."""
        refused: list[str] = []
        with self._remembering(f"what is kept of the {name}", refused.append) as session:
            set_value(session, name, msgspec.to_builtins(value))
        return not refused

    def remembered(self, name: str, kind: type[Kept]) -> Kept | None:
        """What was kept. Raises LibraryError where it is not of that kind."""
        with self._sessions() as session:
            row = session.get(MemoryRow, name)
        try:
            return msgspec.convert(row.value, kind) if row else None
        except msgspec.ValidationError as error:
            raise LibraryError(f"what the database keeps of the {name} is damaged ({error}): restore a backup, or run `gridtone room forget-alarms`") from error

    def forget_kept(self, name: str) -> None:
        """Raises LibraryError."""
        with self._writing(f"that nothing is kept of the {name}") as session:
            session.execute(delete(MemoryRow).where(MemoryRow.name == name))

    def reserve(self, name: str, count: int) -> int:
        """The first of `count` whole numbers that nobody was given under `name` before, from 1. Raises LibraryError."""
        with self._writing("the counter") as session:
            row = session.get(MemoryRow, name)
            first = int(row.value) if row else 1
            set_value(session, name, first + count)
        return first

    def record_failure(self, failure: TrackFailure) -> None:
        with self._remembering("a failed track") as session:
            session.add(FailureRow(**asdict(failure)))

    def failures(self, limit: int) -> list[TrackFailure]:
        """Newest first."""
        with self._sessions() as session:
            rows = session.scalars(select(FailureRow).order_by(FailureRow.id.desc()).limit(limit))
            return [TrackFailure(row.state, row.text, row.engine, row.seed, row.reasons, row.time) for row in rows]

    def record_feedback(self, track_id: str, thumb: int, reason: str, time: float) -> None:
        """`thumb`: 1 up, -1 down. Raises LibraryError: whoever said it is there to be told that it was not kept."""
        refused: list[str] = []
        with self._remembering("the feedback", refused.append) as session:
            session.add(FeedbackRow(track_id=track_id, thumb=thumb, reason=reason, time=time))
        if refused:
            raise LibraryError(refused[0])

    def plays(self, start: float, end: float) -> list[Play]:
        """What was played between two times, oldest first."""
        with self._sessions() as session:
            rows = session.execute(
                select(PlayRow.time, PlayRow.state, PlayRow.track_id, func.coalesce(TrackRow.text, ""), func.coalesce(TrackRow.licence, ""))
                .outerjoin(TrackRow, TrackRow.id == PlayRow.track_id)
                .where(PlayRow.time >= start, PlayRow.time < end)
                .order_by(PlayRow.time, PlayRow.id)
            )
            return [Play(*row) for row in rows]

    def feedback(self, start: float, end: float) -> list[Feedback]:
        """What listeners thought between two times, oldest first."""
        row = FeedbackRow
        with self._sessions() as session:
            rows = session.execute(
                select(row.time, row.track_id, func.coalesce(TrackRow.state, ""), func.coalesce(TrackRow.text, ""), row.thumb, row.reason)
                .outerjoin(TrackRow, TrackRow.id == row.track_id)
                .where(row.time >= start, row.time < end)
                .order_by(row.time, row.id)
            )
            return [Feedback(*found) for found in rows]

    def begin_state(self, state: str, severity: str, reason: Words, time: float) -> bool:
        """The grid is in `state` from `time` on; what it was in before ends. Nothing happens if it already is. False where the database refuses."""
        refused: list[str] = []
        with self._remembering("the change of state", refused.append) as session:
            current = session.scalar(select(SpanRow).where(SpanRow.end.is_(None)))
            if not current or current.state != state:
                if current:
                    current.end = time
                session.add(SpanRow(state=state, severity=severity, start=time, end=None, seen=time, reason=dict(reason)))
        return not refused

    def mark_alive(self, time: float) -> None:
        """The state still lasts at `time`. Should the service be killed, it counts as ended at the last such moment."""
        with self._remembering("the time") as session:
            session.execute(update(SpanRow).where(SpanRow.end.is_(None)).values(seen=time))

    def spans(self, start: float, end: float) -> list[StateSpan]:
        """The states between two times, oldest first."""
        with self._sessions() as session:
            rows = session.scalars(
                select(SpanRow).where(SpanRow.start < end, SpanRow.end.is_(None) | (SpanRow.end > start)).order_by(SpanRow.start, SpanRow.id)
            )
            return [_span(row) for row in rows]

    def last_state(self) -> StateSpan | None:
        """The newest state, whether or not it still lasts."""
        with self._sessions() as session:
            row = session.scalar(select(SpanRow).order_by(SpanRow.start.desc(), SpanRow.id.desc()).limit(1))
            return _span(row) if row else None

    def add_rules_version(self, text: str, author: str, reason: str, time: float, restores: int | None, put: Callable[[], None]) -> RulesVersion:
        """Keep a version of the rules once `put` has put it in force; neither happens where either fails. Raises LibraryError, or what `put` raises."""
        row = RulesVersionRow(time=time, author=author, reason=reason, restores=restores, text=text)
        with self._writing("the version of the rules") as session:
            session.add(row)
            session.flush()
            put()
        return RulesVersion(row.number, time, author, reason, restores, text)

    def rules_versions(self, limit: int, before: int | None = None) -> list[VersionLine]:
        """Newest first, with numbers below `before`."""
        query = select(*_LINE).order_by(RulesVersionRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(RulesVersionRow.number < before)
        with self._sessions() as session:
            return [VersionLine(*columns) for columns in session.execute(query)]

    def rules_version(self, number: int | None = None) -> RulesVersion | None:
        """The version of that number, or the newest."""
        query = select(*_VERSION).order_by(RulesVersionRow.number.desc()).limit(1)
        if number is not None:
            query = query.where(RulesVersionRow.number == number)
        with self._sessions() as session:
            row = session.execute(query).first()
            return RulesVersion(*row) if row else None

    def forget(self, before: float) -> None:
        """Forget plays, failures, feedback and states from before a time."""
        with self._remembering("the end of old history") as session:
            session.execute(delete(PlayRow).where(PlayRow.time < before))
            session.execute(delete(FailureRow).where(FailureRow.time < before))
            session.execute(delete(FeedbackRow).where(FeedbackRow.time < before))
            session.execute(delete(SpanRow).where(SpanRow.end < before))

    def _end_spans(self, time: float | None = None) -> None:
        with self._remembering("the end of the state") as session:
            session.execute(update(SpanRow).where(SpanRow.end.is_(None)).values(end=SpanRow.seen if time is None else time))

    @contextmanager
    def _writing(self, what: str) -> Iterator[Session]:
        """One transaction. Raises LibraryError if it could not be committed."""
        with self._write_lock:
            try:
                with self._sessions.begin() as session:
                    yield session
            except SQLAlchemyError as error:
                raise LibraryError(
                    f"the database could not write {what} ({getattr(error, 'orig', None) or error}): see that its disk has room and is writable"
                ) from error

    @contextmanager
    def _remembering(self, what: str, refused: Callable[[str], None] = lambda problem: None) -> Iterator[Session]:
        """One transaction whose failure is shown, logged and told to `refused`, but stops nobody."""
        try:
            with self._writing(what) as session:
                yield session
        except LibraryError as error:
            log.error("%s", error)
            self._unwritten = str(error)
            refused(self._unwritten)
        else:
            self._unwritten = ""


def set_value(session: Session, name: str, value: Any) -> None:
    session.merge(MemoryRow(name=name, value=value))


def _span(row: SpanRow) -> StateSpan:
    return StateSpan(row.state, row.severity, row.start, row.end, row.reason)
