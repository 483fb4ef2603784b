"""What is no mistake in the rules but hardly meant: states that can never win, signals that nobody uses, prompts that cannot be followed."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridtone.config import Engine
from gridtone.documents import Document, Place, Problem, Wrong
from gridtone.hints import did_you_mean
from gridtone.proving.cells import FALSE, TRUE, UNKNOWN, Cells, TooManyCellsError, Truths
from gridtone.rules import NO_STATE, Rules
from gridtone.rules.condition import AnyOf, Condition, Not, comparisons
from gridtone.rules.model import State, unit_of
from gridtone_engine import EngineError, Prompt, choose_engine, engine_names, engine_options
from gridtone_engine.text import understand

ROOM_LIMITS = {"energy": 0.4, "brightness": 0.5, "density": 0.4}
"""The most that music may be while the room has to speak and to hear alarms."""
ROOM_SEVERITIES = ("emergency", "in_extremis")
ROOM_INSTRUMENTS = ("soft percussion",)
"""Not then: pulses could be taken for an alarm."""


def doubts(rules: Rules, document: Document, at: Place = (), engines: Sequence[Engine] = (Engine(name="composer"),)) -> Iterator[Problem]:
    """Warnings about good rules that stand in `document` at `at`. `engines` are to follow the prompts."""
    for doubt in (*_states(rules), *_fallback(rules), *_unused(rules), *_prompts(rules, engines), *_room(rules)):
        yield warning(document, doubt, at)


def warning(document: Document, doubt: Wrong, at: Place = ()) -> Problem:
    place = (*at, *doubt.at)
    if place not in document and place[-1:] == ("text",):
        place = place[:-1]  # a prompt may be just its text
    return document.problem(place, f"warning: {doubt.message}", doubt.fix, offset=doubt.offset, on_key=doubt.on_key)


def _states(rules: Rules) -> Iterator[Wrong]:
    """States that can never be active, or never end."""
    ranked = [(name, rules.states[name]) for name in rules.ranked()]
    for rank, (name, state) in enumerate(ranked):
        assert state.when is not None
        place: Place = ("states", name, "when")
        try:
            cells = Cells(_conditions(state), rules.signals)
            when = cells.truths(state.when)
            if not (when >= (UNKNOWN if state.on_stale == "true" else TRUE)).any():
                yield Wrong(f"`{name}` can never be true", "no values of its signals meet this condition", place)
                continue
            if state.clear and state.on_stale != "false" and not ((when == FALSE) & (cells.truths(state.clear) == TRUE)).any():
                yield Wrong(f"once entered, `{name}` never ends", "no values make `when` false and `clear` true", ("states", name, "clear"))
        except TooManyCellsError:
            continue
        if winners := _shadows(rules, state, ranked[:rank]):
            others = " or ".join(f"`{winner}`" for winner in winners)
            yield Wrong(f"`{name}` can never win: whenever it is true, {others} wins", "raise its priority, or narrow the conditions above it", place)


def _shadows(rules: Rules, state: State, above: Sequence[tuple[str, State]]) -> list[str]:
    """The states that win whenever `state` is true: one of them, or several together if that takes several."""
    mine = _signals(state)
    near = [(name, other) for name, other in above if mine & _signals(other)]
    groups = [[one] for one in near if one[1].for_ <= state.for_]
    at_once = [one for one in near if not one[1].for_]
    if len(at_once) > 1:
        groups.append(at_once)
    for group in groups:
        try:
            cells = Cells([condition for other in (state, *(other for _, other in group)) for condition in _conditions(other)], rules.signals)
        except TooManyCellsError:
            continue
        may_win = _stays(cells, state) >= (UNKNOWN if state.on_stale in ("true", "keep") else TRUE)
        for _, other in group:
            may_win = may_win & _leaves_way(cells, other)
        if not may_win.any():
            return [name for name, _ in group]
    return []


def _leaves_way(cells: Cells, state: State) -> NDArray[np.bool_]:
    """Where states below `state` may win. An unknown condition begins its `for` anew, unless unknown counts as true."""
    assert state.when is not None
    blocks_unknown = state.on_stale == "true" or (state.on_stale == "silent" and not state.for_)
    return cells.truths(state.when) < (UNKNOWN if blocks_unknown else TRUE)


def _stays(cells: Cells, state: State) -> Truths:
    """Where a state that was entered is true."""
    assert state.when is not None
    return cells.truths(state.when if state.clear is None else AnyOf((state.when, Not(state.clear))))


def _conditions(state: State) -> list[Condition]:
    return [condition for condition in (state.when, state.clear) if condition]


def _signals(state: State) -> set[str]:
    return {comparison.signal for condition in _conditions(state) for comparison in comparisons(condition)}


def _fallback(rules: Rules) -> Iterator[Wrong]:
    """A fallback that is never reached, or none where one is needed."""
    at_once = [state for state in rules.states.values() if state.when and not state.for_]
    example = ""
    try:
        cells = Cells([state.when for state in at_once if state.when], rules.signals)
        uncovered = reduce(np.logical_and, [_leaves_way(cells, state) for state in at_once], np.array(True))
        if not uncovered.any():
            if rules.fallback:
                yield Wrong(f"the fallback `{rules.fallback}` is never reached", "the other states cover all values of their signals", ("fallback",))
            return
        example_of = cells.example(uncovered & cells.known() if (uncovered & cells.known()).any() else uncovered)
        shown = [f"{name} {value:g} {unit_of(rules.signals[name])}".strip() for name, value in example_of.items()]
        example = f", as with {', '.join(shown[:3])}{' …' if len(shown) > 3 else ''}," if shown else ""
    except TooManyCellsError:
        pass
    if rules.fallback is None:
        message = f"there is no fallback: where no state is true{example} the grid is in `{NO_STATE}`, which is silent"
        yield Wrong(message, "add `fallback:`", ("states",), on_key=True)


def _unused(rules: Rules) -> Iterator[Wrong]:
    used = {signal for state in rules.states.values() for signal in _signals(state)}
    used |= {named for name in used if (expression := rules.signals[name].expression) for named in expression.signals}
    for name in rules.signals:
        if name not in used:
            yield Wrong(f"no state uses the signal `{name}`", "delete it, or name it in a condition", ("signals", name), on_key=True)


def engine_doubts(engines: Sequence[Engine]) -> Iterator[Wrong]:
    """Engines and options that do not exist, as far as they are installed here. Places are those of the site's file."""
    for number, engine in enumerate(engines):
        if engine.name not in engine_names():
            yield Wrong(f"no engine is called `{engine.name}` here", did_you_mean(engine.name, engine_names()), ("engines", number, "name"))
            continue
        try:
            known = engine_options(engine.name)
        except EngineError:
            continue  # it needs a package that is not installed here; `gridtone doctor` says which
        for option in engine.options:
            if option not in known:
                yield Wrong(f"`{option}` is not an option of {engine.name}", did_you_mean(option, known), ("engines", number, "options", option), on_key=True)


def _prompts(rules: Rules, engines: Sequence[Engine]) -> Iterator[Wrong]:
    """What the engines cannot follow. undertone is told the sentence itself: nothing of it is lost."""
    for engine in (choose_engine(named.name, named.options) for named in engines):
        if engine.name == "composer":
            yield from _not_composed(rules)
        elif engine.name == "jukebox":
            yield from _not_in_jukebox(rules, engine.options.get("moods"))


def _not_composed(rules: Rules) -> Iterator[Wrong]:
    for name, state in rules.states.items():
        text = state.prompt.text if state.prompt else ""
        yield from _unfollowed("the composer", name, text, understand(Prompt(text)).ignored, "docs/prompts.md says what it can")


def _not_in_jukebox(rules: Rules, moods: str | None) -> Iterator[Wrong]:
    """Jukebox knows artist, genre and lyrics. Says nothing where torch, which the engine needs, is not installed: it does not play there."""
    try:
        from gridtone_engine.jukebox.moods import map_prompt, read_moods

        table = read_moods(Path(moods) if moods else None)
    except (ModuleNotFoundError, EngineError):
        return
    for name, state in rules.states.items():
        if state.prompt is None:
            continue
        asked = state.prompt.for_engine().attributes
        unheard = [field.name for field in fields(asked) if getattr(asked, field.name)]
        if unheard:
            message = f"jukebox does not follow {', '.join(f'`{key}`' for key in unheard)} in the prompt of `{name}`"
            yield Wrong(message, "it knows artist, genre and lyrics: docs/jukebox.md", ("states", name, "prompt", unheard[0]), on_key=True)
        text = state.prompt.text
        yield from _unfollowed("jukebox", name, text, map_prompt(text, type(asked)(), table).understanding.ignored, "docs/jukebox.md says what it can")


def _unfollowed(engine: str, state: str, text: str, phrases: Sequence[str], fix: str) -> Iterator[Wrong]:
    at = 0
    for phrase in phrases:
        at = max(text.find(phrase, at), 0)
        yield Wrong(f"{engine} cannot follow `{phrase}` in the prompt of `{state}`", fix, ("states", state, "prompt", "text"), at)


def _room(rules: Rules) -> Iterator[Wrong]:
    """Moods that leave no room for alarms and speech where both are to be expected."""
    for name, state in rules.states.items():
        if state.prompt is None or state.severity not in ROOM_SEVERITIES:
            continue
        attributes = understand(state.prompt.for_engine()).attributes
        place: Place = ("states", name, "prompt")
        for scale, most in ROOM_LIMITS.items():
            asked = getattr(attributes, scale)
            if asked is not None and asked > most:
                message = f"`{name}` is {state.severity}, but its prompt asks for {scale} {asked:.2g}"
                yield Wrong(message, f"at most {most:g} leaves room for alarms and speech", (*place, scale))
        for instrument in set(attributes.instruments) & set(ROOM_INSTRUMENTS):
            message = f"`{name}` is {state.severity}, but its prompt asks for {instrument}"
            yield Wrong(message, "pulses could be taken for an alarm: choose another instrument", (*place, "instruments"))
