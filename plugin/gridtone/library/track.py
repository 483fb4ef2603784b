"""A Track: finished audio that passed the gate, and everything that made it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Track:
    """One row of the library. The audio itself lies in the store under `id`."""

    id: str
    """SHA-256 of the FLAC file, hexadecimal: the audio's address in the store."""
    state: str
    """The state whose prompt it was made for."""
    text: str
    """The prompt's text."""
    seconds: float
    sample_rate: int
    tempo_bpm: float | None
    key: str | None
    energy: float | None
    bar_seconds: float | None
    """None where the music has no steady bar."""
    first_bar_seconds: float
    loudness_lufs: float
    true_peak_dbtp: float
    engine: str
    model: str
    seed: int
    licence: str
    created: float
    """Seconds since the Unix epoch."""
    plays: int = 0
    last_played: float | None = None
