"""Which tracks to make next: a pure function of what is short, what is playing and what is to be expected."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gridtone.stock.forecast import Expectation

UNEXPECTED = Expectation(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Need:
    """What a state has and wants."""

    state: str
    wanted: int
    """Fresh tracks; 0 for a silent state."""
    fresh: int
    lasting: int
    """Fresh tracks that stay fresh until what is made now is there; at most `fresh`."""
    playable: int
    """Tracks that could play if they must, fresh ones among them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One track to make."""

    state: str
    first: bool
    """The state has nothing to play until this is ready."""


def plan(needs: Sequence[Need], current: str | None, expected: Mapping[str, Expectation], music_seconds: float, batch: int) -> list[Wish]:
    """At most `batch` tracks, the most urgent first; empty when nothing is short.

    First whoever has nothing to play, the current state before all. Then by the shortage that is to be expected without the track: how likely the state is
    heard, times how likely its stay uses up the fresh tracks before this one, each good for `music_seconds` of listening; stays are taken for exponentially
    distributed. Equals keep the order of `needs`. What listeners wait for is asked for alone, not in a batch.
    """
    nobody_plays = not any(need.playable for need in needs)

    def awaited(wish: Wish) -> bool:
        return wish.first and (wish.state == current or nobody_plays)

    def shortage(need: Need, made: int) -> float:
        state = expected.get(need.state, UNEXPECTED)
        return state.probability * math.exp(-(need.fresh + made) * music_seconds / state.stay_seconds)

    wishes = [
        (Wish(need.state, need.playable + made == 0), shortage(need, made), need.fresh + made) for need in needs for made in range(need.wanted - need.lasting)
    ]
    wishes.sort(key=lambda wish: (not (wish[0].first and wish[0].state == current), not wish[0].first, -wish[1], wish[2]))
    ordered = [wish for wish, _, _ in wishes]
    return ordered[: 1 if ordered and awaited(ordered[0]) else batch]
