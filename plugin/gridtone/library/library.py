"""Everything that is kept."""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import BinaryIO, Literal, Self

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, delete, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from gridtone.library.audit import Audit
from gridtone.library.database import DatabaseError, bring_up_to_date, connect, hold
from gridtone.library.errors import LibraryError
from gridtone.library.history import History, set_value
from gridtone.library.lock import DirectoryInUseError, DirectoryLock
from gridtone.library.retention import SECONDS_A_DAY, Shelved, to_remove
from gridtone.library.settings import LibrarySettings
from gridtone.library.store import Store
from gridtone.library.tables import MemoryRow, TrackRow
from gridtone.library.track import Track

log = logging.getLogger(__name__)

TRACK_COLUMNS = [getattr(TrackRow, column.name) for column in fields(Track)]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Which tracks are fresh: younger than `hours`, played fewer than `plays` times, not retired, and made for what their state asks for today."""

    hours: float
    plays: int
    prompts: Mapping[str, str] = field(default_factory=dict)
    """State -> hash of its prompt, for every state that wants music."""


@dataclass(frozen=True, slots=True)
class Count:
    fresh: int
    playable: int
    """Fresh or not."""


class Library(History):
    """Tracks and history. Safe to use from any thread; one process at a time."""

    def __init__(self, settings: LibrarySettings, database: Engine, store: Store, held: Connection | None, opened: ExitStack) -> None:
        """`held` keeps other services out of the database; `opened` is closed with the library."""
        super().__init__(database)
        self.settings = settings
        self.audit = Audit(database)
        self._store = store
        self._held = held
        self._taken = ""
        self._opened = opened
        self._files_lock = threading.Lock()

    @classmethod
    def open(cls, settings: LibrarySettings, data_dir: Path) -> Self:
        """Open or create the library in `data_dir`, migrate its database, and clean up after a crash.

        Raises LibraryError if another service holds the directory or the database, or if database or store cannot be used.
        """
        with ExitStack() as opened:
            try:
                data_dir.mkdir(parents=True, exist_ok=True)
                opened.callback(DirectoryLock(data_dir).release)
                database = connect(settings.database or f"sqlite:///{data_dir / 'gridtone.db'}")
                opened.callback(database.dispose)
                held = hold(database)
                if held is not None:
                    opened.callback(held.close)
                bring_up_to_date(database)
                store = Store(settings.store or str(data_dir / "audio"), data_dir)
                library = cls(settings, database, store, held, opened)
                library._sweep()
                library._end_spans()
            except (DirectoryInUseError, DatabaseError, LibraryError) as error:
                raise LibraryError(str(error)) from error
            except (OSError, ImportError, ValueError) as error:
                raise LibraryError(f"the library in {data_dir} (audio in {settings.store or data_dir / 'audio'}) cannot be opened: {error}") from error
            library._opened = opened.pop_all()
        return library

    def close(self) -> None:
        """The state that lasts ends now; another service may open the library."""
        self._end_spans(time.time())
        self._store.close()
        self._let_go()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def incoming(self) -> Path:
        """The folder for files on their way to `add`."""
        return self._store.incoming

    def problem(self) -> str:
        """What the library cannot do now, and what to do about it; empty when nothing is wrong."""
        return self._taken or self._unwritten or self.audit.problem or self.no_room()

    def mark_alive(self, time: float) -> None:
        """As in `History`. The database may have been started anew, and have forgotten that we hold it: then it is held again, or `problem` says who does."""
        super().mark_alive(time)
        if self._held is None:
            return
        try:
            self._held.execute(text("select 1"))
        except SQLAlchemyError:
            self._let_go()
            try:
                self._held = hold(self._database)
                self._taken = ""
            except DatabaseError as error:
                log.error("%s", error)
                self._taken = str(error)

    def no_room(self) -> str:
        """Why no more tracks can be kept; empty while there is room."""
        free_mib = shutil.disk_usage(self._store.incoming).free / 2**20
        if free_mib < self.settings.min_free_mib:
            return (
                f"no new tracks: the disk of {self._store.incoming.parent} has {free_mib:.0f} MiB left and library.min_free_mib asks for "
                f"{self.settings.min_free_mib:.0f}; free some room. Tracks in stock go on playing"
            )
        with self._sessions() as session:
            used_gib = (session.scalar(select(func.sum(TrackRow.flac_bytes + TrackRow.opus_bytes))) or 0) / 2**30
        if used_gib >= self.settings.max_gib:
            return (
                f"no new tracks: they take {used_gib:.2f} GiB and none can go, while library.max_gib allows {self.settings.max_gib:g}; raise it, or lower "
                "stock.per_state. Tracks in stock go on playing"
            )
        return ""

    def add(self, track: Track, prompt_hash: str, flac: Path, opus: Path) -> Track:
        """Keep a track, whose two finished files lie in `incoming`: all of it or nothing. Raises LibraryError or OSError."""
        files = {f"{track.id}.flac": flac, f"{track.id}.opus": opus}
        row = TrackRow(**asdict(track), prompt_hash=prompt_hash, flac_bytes=flac.stat().st_size, opus_bytes=opus.stat().st_size)
        with self._files_lock:
            try:
                if known := self.get(track.id):
                    return known
                for name, file in files.items():
                    self._store.put(file, name)
                with self._writing("a track") as session:
                    session.add(row)
            except (LibraryError, OSError):
                for name in files:
                    self._store.remove(name)
                raise
            finally:
                for file in files.values():
                    file.unlink(missing_ok=True)
        return track

    def get(self, track_id: str) -> Track | None:
        with self._sessions() as session:
            row = session.execute(select(*TRACK_COLUMNS).where(TrackRow.id == track_id)).first()
            return Track(*row) if row else None

    def tracks(self, state: str | None, limit: int, before: float | None = None) -> list[Track]:
        """Newest first, made before `before`."""
        query = select(*TRACK_COLUMNS).order_by(TrackRow.created.desc(), TrackRow.id).limit(limit)
        if state is not None:
            query = query.where(TrackRow.state == state)
        if before is not None:
            query = query.where(TrackRow.created < before)
        with self._sessions() as session:
            return [Track(*row) for row in session.execute(query)]

    def open_audio(self, track_id: str, codec: Literal["opus", "flac"]) -> tuple[BinaryIO, int] | None:
        """A seekable file and its size in bytes, or None if there is no such track."""
        return self._store.open(f"{track_id}.{codec}") if self.get(track_id) else None

    def candidates(self, state: str, freshness: Freshness) -> list[tuple[Track, bool]]:
        """Every track of `state`, each with whether it is fresh."""
        with self._sessions() as session:
            rows = session.execute(select(_is_fresh(freshness), *TRACK_COLUMNS).where(TrackRow.state == state))
            return [(Track(*columns), bool(fresh)) for fresh, *columns in rows]

    def counts(self, freshness: Freshness) -> dict[str, Count]:
        """State -> how many tracks it has. States without any are missing."""
        fresh = func.sum(case((_is_fresh(freshness), 1), else_=0))
        with self._sessions() as session:
            rows = session.execute(select(TrackRow.state, fresh, func.count()).group_by(TrackRow.state))
            return {state: Count(int(fresh), int(playable)) for state, fresh, playable in rows}

    def retire_oldest(self, freshness: Freshness) -> None:
        """The oldest fresh track of every state is fresh no longer, so that a new one is made. It stays playable."""
        with self._writing("which tracks are retired") as session:
            for state in freshness.prompts:
                oldest = select(TrackRow.id).where(TrackRow.state == state, _is_fresh(freshness)).order_by(TrackRow.created, TrackRow.id).limit(1)
                session.execute(update(TrackRow).where(TrackRow.id == session.scalar(oldest)).values(retired=True))

    def retain(self, freshness: Freshness, protected: Collection[str] = ()) -> list[str]:
        """Remove what age, plays and the disk budget say, and old history. Never one of `protected`, nor the last track of a state.

        Returns the ids of what was removed. Raises LibraryError or OSError.
        """
        now = time.time()
        with self._writing("which tracks are removed") as session:
            rows = session.execute(select(TrackRow, _is_fresh(freshness))).all()
            shelved = [Shelved(row.id, row.state, row.created, row.plays, row.flac_bytes + row.opus_bytes, bool(fresh)) for row, fresh in rows]
            removed = to_remove(shelved, freshness.prompts, protected, self.settings, now)
            session.execute(delete(TrackRow).where(TrackRow.id.in_(removed)))
        self._sweep()
        self.forget(now - self.settings.history_days * SECONDS_A_DAY)
        return removed

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()

    def _claim_store(self) -> None:
        """Refuse a store that belongs to another library, or one that is empty although the database knows of tracks (not mounted, say)."""
        with self._sessions() as session:
            mine = session.get(MemoryRow, "library_id")
            tracks = session.scalar(select(func.count()).select_from(TrackRow)) or 0
        owner = self._store.owner()
        if mine and owner == mine.value:
            return
        if (owner and mine) or (owner and self._store.sizes()):
            raise LibraryError(
                f"the store {self._store.url} belongs to another database than this one: give this library a store of its own, "
                "or bring back the database that the store had"
            )
        if tracks:
            raise LibraryError(
                f"the store {self._store.url} is empty, but the database knows {tracks} tracks in it: is it mounted, and is library.store right?"
            )
        library_id = owner or (mine.value if mine else uuid.uuid4().hex)
        self._store.claim(library_id)
        with self._writing("the library's id") as session:
            set_value(session, "library_id", library_id)

    def _sweep(self) -> None:
        """Remove files without a row, and rows without complete files: what a crash leaves, or a removal of rows."""
        with self._files_lock:
            self._claim_store()
            sizes = self._store.sizes()
            whole = set()
            with self._writing("what a crash left") as session:
                for track_id, flac_bytes, opus_bytes in session.execute(select(TrackRow.id, TrackRow.flac_bytes, TrackRow.opus_bytes)).all():
                    if sizes.get(f"{track_id}.flac") == flac_bytes and sizes.get(f"{track_id}.opus") == opus_bytes:
                        whole.add(track_id)
                    else:
                        session.execute(delete(TrackRow).where(TrackRow.id == track_id))
            for name in sizes:
                if name.partition(".")[0] not in whole:
                    self._store.remove(name)


def _is_fresh(freshness: Freshness) -> ColumnElement[bool]:
    return and_(
        TrackRow.created > time.time() - freshness.hours * 3600,
        TrackRow.plays < freshness.plays,
        TrackRow.retired.is_(False),
        TrackRow.prompt_hash.in_(list(freshness.prompts.values())),
    )
