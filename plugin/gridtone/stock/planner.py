"""Which tracks to make next: a pure function of what is short, what is playing and what is to be expected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gridtone.stock.forecast import Expectation

UNEXPECTED = Expectation(0.0)


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


def plan(needs: Sequence[Need], current: str | None, expected: Mapping[str, Expectation], batch: int) -> list[Wish]:
    """At most `batch` tracks, the most urgent first; empty when nothing is short.

    First whoever has nothing to play, the current state before all. Then whoever has the fewest fresh tracks, among equals who is likeliest heard; the first
    fresh track of an unlikely state goes before the second of a likely one, because what counts is that one is there whenever the grid gets there. What is
    still equal keeps the order of `needs`. What listeners wait for is asked for alone, not in a batch.
    """
    nobody_plays = not any(need.playable for need in needs)

    def awaited(wish: Wish) -> bool:
        return wish.first and (wish.state == current or nobody_plays)

    wishes = [(Wish(need.state, need.playable + made == 0), need.fresh + made) for need in needs for made in range(need.wanted - need.lasting)]

    def urgency(wish: Wish, fresh: int) -> tuple[bool, bool, int, float]:
        """The least comes first."""
        return not (wish.first and wish.state == current), not wish.first, fresh, -expected.get(wish.state, UNEXPECTED).probability

    ordered = [wish for wish, _ in sorted(wishes, key=lambda wish: urgency(*wish))]
    return ordered[: 1 if ordered and awaited(ordered[0]) else batch]
