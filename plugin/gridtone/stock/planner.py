"""Which tracks to make next: pure functions of what is short, what is playing and what is likely next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """What a state has and wants."""

    state: str
    wanted: int
    """Fresh tracks; 0 for a silent state."""
    fresh: int
    playable: int
    """Tracks that could play if they must, fresh ones among them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One track to make."""

    state: str
    first: bool
    """The state has nothing to play until this is ready."""


def likely_next(states: Sequence[str], current: str | None, transitions: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """How likely each of `states` comes after `current`, from how often one state followed another.

    Every transition counts as seen once more than it was, so that nothing is impossible. Without a current state: how likely the grid enters it at all.
    """
    counts = {state: 1 + sum(count for (before, after), count in transitions.items() if after == state and current in (before, None)) for state in states}
    total = sum(counts.values())
    return {state: count / total for state, count in counts.items()}


def plan(needs: Sequence[Need], current: str | None, likely: Mapping[str, float], batch: int) -> list[Wish]:
    """At most `batch` tracks, the most urgent first; empty when nothing is short.

    First whoever has nothing to play, the current state before all. Then whoever lacks the largest share of its wanted tracks, weighted by how likely it is
    heard: 1 for the current state, `likely` for the others. Equals keep the order of `needs`. What listeners wait for is asked for alone, not in a batch.
    """
    nobody_plays = not any(need.playable for need in needs)

    def awaited(wish: Wish) -> bool:
        return wish.first and (wish.state == current or nobody_plays)

    def lack(need: Need, level: int) -> float:
        return (1.0 if need.state == current else likely.get(need.state, 0.0)) * (need.wanted - level) / need.wanted

    wishes = [(Wish(need.state, level == 0 and not need.playable), lack(need, level)) for need in needs for level in range(need.fresh, need.wanted)]
    wishes.sort(key=lambda wish: (not (wish[0].first and wish[0].state == current), not wish[0].first, -wish[1]))
    ordered = [wish for wish, _ in wishes]
    return ordered[: 1 if ordered and awaited(ordered[0]) else batch]
