"""Which tracks go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gridtone.library.settings import LibrarySettings

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Shelved:
    """What retention needs to know of a track."""

    id: str
    state: str
    created: float
    plays: int
    size_bytes: int
    fresh: bool


def to_remove(tracks: Sequence[Shelved], states: Collection[str], protected: Collection[str], settings: LibrarySettings, now: float) -> list[str]:
    """Ids of the tracks to remove: too old, too often played, or over the disk budget.

    Never one of `protected`, and never the last that one of `states` has: its newest fresh track, or its newest where none is fresh. For the budget only
    tracks that are no longer fresh go, lest they be made again at once. So the rest may still exceed it.
    """
    tracks = sorted(tracks, key=lambda track: (track.state in states, track.fresh, track.created, track.id))
    last = {track.state: track.id for track in tracks if track.state in states}
    removable = [track for track in tracks if track.id not in protected and last.get(track.state) != track.id]

    def expired(track: Shelved) -> bool:
        return track.created < now - settings.max_age_days * SECONDS_A_DAY or track.plays > settings.max_plays

    removed = [track.id for track in removable if expired(track)]
    excess = sum(track.size_bytes for track in tracks if track.id not in removed) - settings.max_gib * 2**30
    for track in removable:
        if excess <= 0:
            break
        if track.id not in removed and not track.fresh:
            removed.append(track.id)
            excess -= track.size_bytes
    return removed
