"""The tables of the library. A change here needs a new file in `migrations/versions`; a test compares the two.

Times are seconds since the Unix epoch.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Double, Index, Integer, MetaData, String, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"})
    type_annotation_map = {float: Double, int: BigInteger, str: Text, dict[str, str]: JSON, list[str]: JSON}  # noqa: RUF012


class TrackRow(Table):
    """A track, column for column as in `track.Track`, and what the library alone needs to know of it."""

    __tablename__ = "tracks"
    __table_args__ = (Index(None, "state", "created"), Index(None, "created"))

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str]
    text: Mapped[str]
    seconds: Mapped[float]
    sample_rate: Mapped[int]
    tempo_bpm: Mapped[float | None]
    key: Mapped[str | None]
    energy: Mapped[float | None]
    bar_seconds: Mapped[float | None]
    first_bar_seconds: Mapped[float]
    loudness_lufs: Mapped[float]
    true_peak_dbtp: Mapped[float]
    engine: Mapped[str]
    model: Mapped[str]
    seed: Mapped[int]
    licence: Mapped[str]
    created: Mapped[float]
    plays: Mapped[int] = mapped_column(default=0)
    last_played: Mapped[float | None]

    prompt_hash: Mapped[str] = mapped_column(String(64))
    """Of the prompt's text and attributes: a track is fresh only while its state still asks for the same."""
    flac_bytes: Mapped[int]
    opus_bytes: Mapped[int]
    retired: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """No longer fresh, because a newer one is to take its place."""


class PlayRow(Table):
    """A cue that played a track. Outlives the track."""

    __tablename__ = "plays"
    __table_args__ = (Index(None, "time"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    track_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str]
    time: Mapped[float]


class FailureRow(Table):
    """A track that failed the gate, or that no engine could make."""

    __tablename__ = "failures"
    __table_args__ = (Index(None, "time"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    state: Mapped[str]
    text: Mapped[str]
    engine: Mapped[str]
    seed: Mapped[int]
    reasons: Mapped[list[str]]
    time: Mapped[float]


class SpanRow(Table):
    """A stretch of time that the grid spent in one state."""

    __tablename__ = "spans"
    __table_args__ = (Index(None, "start"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    state: Mapped[str]
    severity: Mapped[str]
    start: Mapped[float]
    end: Mapped[float | None]
    seen: Mapped[float]
    """When the service last said that it still lasts: its end, should the service be killed."""
    reason: Mapped[dict[str, str]]


class FeedbackRow(Table):
    """What a listener thought of a track. Outlives the track."""

    __tablename__ = "feedback"
    __table_args__ = (Index(None, "track_id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    track_id: Mapped[str] = mapped_column(String(64))
    thumb: Mapped[int]
    """1 up, -1 down."""
    reason: Mapped[str]
    time: Mapped[float]


class RulesVersionRow(Table):
    """The rules as they were at a time, column for column as in `rules_version.RulesVersion`. Rows are added, never changed nor removed."""

    __tablename__ = "rules_versions"

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    time: Mapped[float]
    author: Mapped[str]
    reason: Mapped[str]
    restores: Mapped[int | None]
    text: Mapped[str]


class MemoryRow(Table):
    """Single values that survive a restart: the last cue, the next seed."""

    __tablename__ = "memory"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class AuditRow(Table):
    """An entry of the audit log, column for column as in `audit.AuditEntry`. The database refuses to change or remove one."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "action"),)

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)
    time: Mapped[float]
    person: Mapped[str]
    role: Mapped[str]
    action: Mapped[str]
    what: Mapped[str]
    detail: Mapped[str]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
