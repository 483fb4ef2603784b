"""Settings of the library."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LibrarySettings(BaseModel):
    """Where tracks are kept, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str | None = Field(
        None,
        description="SQLAlchemy URL of the database, such as `postgresql+psycopg://gridtone@db/gridtone`. Without one: SQLite in the data directory.",
    )
    store: str | None = Field(
        None,
        description="Where the audio files lie: a folder, or a URL that fsspec can write to, such as `s3://bucket/gridtone`. Without one: `audio` in the "
        "data directory.",
    )
    flac_bits: Literal[16, 24] = Field(16, description="Bits a sample of the lossless files. 24 takes about twice the room.")
    max_gib: float = Field(4.0, gt=0, description="Disk budget of the audio files in GiB. The oldest tracks that are no longer fresh go first.")
    max_age_days: float = Field(60.0, gt=0, description="Tracks older than this are removed.")
    max_plays: int = Field(50, ge=1, description="Tracks played more often than this are removed.")
    history_days: float = Field(90.0, gt=0, description="How long plays, feedback, failed tracks and the history of states are remembered.")
    readings_hours: float = Field(
        24.0,
        ge=0,
        le=168,
        description="How long readings are kept on this machine for the replay on the rules page, thinned to some 50 a second; 0: not at all.",
    )
    min_free_mib: float = Field(
        256.0, ge=0, description="No new tracks are made while the disk has less than this left, so that the database can go on writing."
    )
