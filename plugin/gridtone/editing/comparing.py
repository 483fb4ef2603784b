"""The last hours of this site's readings under the rules in force and under edited ones."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from gridtone import recent
from gridtone.config import Site
from gridtone.documents import parse_document
from gridtone.editing.views import Comparison, NoReadingsError, Outcome, StateName
from gridtone.proving.timeline import Difference, Stretch, Timeline, differences, figures, replay
from gridtone.rules import NO_DATA, NO_STATE, Rules
from gridtone.rules.model import title_of
from gridtone.rules.points import Patterns
from gridtone.stock.settings import StockSettings
from gridtone_adapters.recording import Moment

MOST_STRETCHES = 2_000
MOST_DIFFERENCES = 200
NOTHING = (
    StateName(NO_DATA, {"en": "No data", "zh": "无数据"}, "unknown"),
    StateName(NO_STATE, {"en": "No state", "zh": "无状态"}, "unknown"),
)

Lasting = TypeVar("Lasting", Stretch, Difference)


def compare(current: str, edited: str, readings: Path, start: float, end: float, site: Site) -> Comparison:
    """Replay what `gridtone.recent` keeps in the folder `readings` since `start`. Raises DocumentError or NoReadingsError."""
    kept = recent.survey(readings, start)
    if not kept.points:
        raise NoReadingsError("no readings of the last hours are kept yet")
    texts = list(dict.fromkeys((current, edited)))
    rules = [site.as_played(parse_document(text, Rules)) for text in texts]
    counter = _Counted(chain(recent.moments(readings, start), [(end, [])]))
    timelines = dict(zip(texts, replay(counter, [_patient(each, kept.spacing_seconds) for each in rules]), strict=True))
    one, other = timelines[current], timelines[edited]
    differing = list(differences(one, other))
    shown = _longest(differing, MOST_DIFFERENCES)
    return Comparison(
        one.stretches[0].start,
        one.stretches[-1].end,
        counter.readings,
        kept.spacing_seconds,
        _outcome(one, site.stock),
        _outcome(other, site.stock),
        sum(difference.end - difference.start for difference in differing),
        shown,
        len(differing) - len(shown),
        _unseen(rules[-1], kept.points),
    )


class _Counted:
    """Moments on their way, with the readings in them counted."""

    def __init__(self, moments: Iterator[Moment]) -> None:
        self.readings = 0
        self._moments = moments

    def __iter__(self) -> Iterator[Moment]:
        for moment in self._moments:
            self.readings += len(moment[1])
            yield moment


def _patient(rules: Rules, seconds: float) -> Rules:
    """The same rules, in which every signal goes stale so much later."""
    signals = {name: signal.model_copy(update={"stale_after": signal.stale_after + seconds}) for name, signal in rules.signals.items()}
    return rules.model_copy(update={"signals": signals})


def _outcome(timeline: Timeline, stock: StockSettings) -> Outcome:
    stretches = _longest(timeline.stretches, MOST_STRETCHES)
    names = [StateName(name, title_of(name, state), state.severity) for name, state in timeline.rules.states.items()]
    return Outcome((*names, *NOTHING), stretches, len(timeline.stretches) - len(stretches), figures(timeline, stock), len(timeline.stretches) - 1)


def _longest(lasting: Sequence[Lasting], most: int) -> list[Lasting]:
    """Of very many only the longest, in order of time."""
    return sorted(sorted(lasting, key=lambda one: one.start - one.end)[:most], key=lambda one: one.start)


def _unseen(rules: Rules, points: set[str]) -> list[str]:
    """The signals made of points of which none is known."""
    patterns = Patterns[str]()
    for name, signal in rules.signals.items():
        for pattern in signal.of:
            patterns.add(pattern, name)
    seen = {name for point in points for name in patterns.matching(point)}
    return [name for name, signal in rules.signals.items() if signal.of and name not in seen]
