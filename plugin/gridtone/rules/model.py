"""The rules file: signals, states and how each state should sound. See `docs/rules.md` for every key with an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from gridtone.documents import Place, Wrong, refuse
from gridtone.fields import LocalText, Seconds
from gridtone.hints import did_you_mean
from gridtone.rules.condition import comparisons
from gridtone.rules.expression import ExpressionField
from gridtone.rules.parser import ConditionField, ThresholdField
from gridtone.rules.standing import RESERVED
from gridtone.words import Words
from gridtone_engine.prompt import INSTRUMENTS, Attributes
from gridtone_engine.prompt import Prompt as EnginePrompt

Severity = Literal["normal", "alert", "emergency", "in_extremis", "restorative"]
Take = Literal["value", "max", "min", "mean", "sum", "count", "share", "rate"]
MODES = ("major", "minor", "ionian", "dorian", "phrygian", "lydian", "mixolydian", "aeolian")


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _pattern(path: str) -> str:
    parts = path.split("/")
    for index, part in enumerate(parts):
        here = path.index(part) if part else 0
        if not part:
            refuse([Wrong(f"`{path}` has an empty part", "write such as `line/HV-12/loading_pct`")])
        if part in ("+", "#"):
            refuse([Wrong(f"`{part}` is not a wildcard here", f"did you mean `{'*' if part == '+' else '**'}`?", offset=here)])
        if part == "**" and index < len(parts) - 1:
            refuse([Wrong("`**` may only stand at the end", "use `*` for one part in the middle", offset=here)])
        if "*" in part and part not in ("*", "**"):
            refuse([Wrong(f"`{part}` is not a wildcard", "`*` stands for one whole part between slashes", offset=here)])
    return path


def _instrument(name: str) -> str:
    if name not in INSTRUMENTS:
        refuse([Wrong(f"`{name}` is not an instrument", did_you_mean(name, INSTRUMENTS))])
    return name


def _key(name: str) -> str:
    if not re.fullmatch(rf"[A-G][b#]? ({'|'.join(MODES)})", name):
        refuse([Wrong(f"`{name}` is not a musical key", f"write a tonic and one of {', '.join(MODES)}, such as `D minor` or `Bb major`")])
    return name


Pattern = Annotated[str, AfterValidator(_pattern)]
Instrument = Annotated[str, AfterValidator(_instrument), Field(json_schema_extra={"enum": list(INSTRUMENTS)})]
MusicalKey = Annotated[str, AfterValidator(_key)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a rules file: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Signal(Section):
    """What conditions speak of: one point, one number made of many, or worked out from other signals."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["of"]}, {"required": ["expression"]}]})

    of: Annotated[
        tuple[Pattern, ...],
        BeforeValidator(_one_or_more),
        Field(min_length=1, description="The path of a point, a path with `*` for one part or `**` for all the rest, or a list of those."),
    ] = ()
    expression: ExpressionField | None = Field(None, description="Instead of `of`: the value worked out from other signals, such as `capacity_mw - load_mw`.")
    take: Take = Field(
        "value",
        description="`value` of the one point; `max`, `min`, `mean` or `sum` over the points; `count` or `share` (in percent) of those that meet `where`; "
        "`rate`, how fast the one point changes.",
    )
    where: ThresholdField | None = Field(None, description="For `count` and `share`: the comparison that a point must meet, such as `> 100`.")
    over: Seconds | None = Field(None, description="For `rate`: the least-squares slope over this long, up to the newest reading.")
    per: Seconds = Field(1.0, gt=0, description="For `rate`: change per this long; `1h` for MW an hour.")
    unit: str = Field("", description="Unit of the value, shown to people and checked where a condition gives one.")
    title: LocalText | None = Field(None, description="What people call it; the name with spaces unless given.")
    stale_after: Seconds = Field(60.0, gt=0, description="A point whose newest reading is older than this, by its source timestamp, no longer counts.")
    stale_pct: float = Field(50.0, ge=0, le=100, description="The signal is unknown once more than this percentage of its points is stale.")
    uncertain: Literal["use", "ignore"] = Field("use", description="What to do with readings of uncertain quality.")
    absent: float | None = Field(None, description="The value while no such point has ever reported: for equipment that a site may not have.")

    @model_validator(mode="after")
    def _check(self) -> Signal:
        wrongs: list[Wrong] = []
        if self.expression is not None:
            meaningless = self.model_fields_set - {"expression", "unit", "title"}
            refuse([Wrong(f"`{key}` means nothing to an expression", "delete one of the two", (key,), on_key=True) for key in sorted(meaningless)])
            return self
        if not self.of:
            refuse([Wrong("the signal says neither `of` nor `expression`", "add `of:` and the path of a point", on_key=True)])
        single = len(self.of) == 1 and "*" not in self.of[0]
        if self.take in ("value", "rate") and not single:
            wrongs.append(
                Wrong(f"`{self.take}` needs one point, not several", "write its path without `*`, or `take:` one of max, min, mean, sum, count, share", ("of",))
            )
        if self.take in ("count", "share"):
            if self.where is None:
                wrongs.append(Wrong(f"`take: {self.take}` lacks `where`", 'add such as `where: "> 100"`', ("take",)))
        elif self.where is not None:
            wrongs.append(Wrong(f"`where` means nothing to `take: {self.take}`", "did you mean `take: count`?", ("where",), on_key=True))
        if self.take == "rate":
            if not self.over:
                wrongs.append(Wrong("`take: rate` lacks `over`", "add such as `over: 5m`", ("take",)))
        else:
            wrongs += [
                Wrong(f"`{key}` means nothing to `take: {self.take}`", "did you mean `take: rate`?", (key,), on_key=True)
                for key in ("over", "per")
                if key in self.model_fields_set
            ]
        refuse(wrongs)
        return self


class Prompt(Section):
    """What the engine is asked for in a state."""

    text: str = Field("", max_length=2000, description="What to play, in words, in any language that the engine reads.")
    seconds: Annotated[Seconds, Field(ge=10, le=1800)] | None = Field(None, description="Length of a track; the site's default unless given.")
    tempo_bpm: float | None = Field(None, ge=30, le=200, description="Beats per minute.")
    key: MusicalKey | None = Field(None, description="Tonic and mode, such as `D minor` or `F# dorian`.")
    energy: Fraction | None = Field(None, description="0 (still) to 1 (driving).")
    brightness: Fraction | None = Field(None, description="0 (dark) to 1 (bright).")
    density: Fraction | None = Field(None, description="0 (sparse) to 1 (busy): notes a second.")
    instruments: tuple[Instrument, ...] = Field((), description="Some of: " + ", ".join(INSTRUMENTS) + ".")

    @model_validator(mode="after")
    def _check(self) -> Prompt:
        if not self.model_fields_set - {"seconds"}:
            refuse([Wrong("the prompt asks for nothing", "add `text:`", on_key=True)])
        return self

    def for_engine(self, default_seconds: float = 60.0, seed: int = 0) -> EnginePrompt:
        """The same as an engine takes it."""
        attributes = Attributes(self.tempo_bpm, self.key, self.energy, self.brightness, self.density, self.instruments)
        return EnginePrompt(self.text, self.seconds or default_seconds, seed, attributes)


class State(Section):
    """A named condition of the grid, and how it sounds."""

    title: LocalText | None = Field(None, description="What people call it; the name with spaces unless given.")
    reason: LocalText | None = Field(None, description="Why the grid is in it, while its condition holds; made from the deciding comparison unless given.")
    severity: Severity = Field("normal", description="The operating state, after Fink and Carlsen (1978).")
    priority: int = Field(0, ge=-1000, le=1000, description="The highest wins; among equals the first in the file.")
    when: ConditionField | None = Field(None, description="The condition to enter. Every state but the fallback has one.")
    clear: ConditionField | None = Field(None, description="The condition to leave, once `when` is false; unless given, `when` being false is enough.")
    for_: Seconds = Field(0.0, alias="for", description="How long `when` must hold without a break before the state is entered.")
    hold: Seconds = Field(0.0, description="How long the state stays at least, unless one of higher priority or missing data ends it.")
    on_stale: Literal["silent", "false", "true", "keep"] = Field(
        "silent",
        description="What an unknown condition means: `silent` (no data, silence), `false`, `true`, or `keep` what it was.",
    )
    prompt: Prompt | None = Field(None, description="How it should sound.")
    silent: bool = Field(False, description="true: this state is silence.")

    @model_validator(mode="before")
    @classmethod
    def _plain_words(cls, data: Any) -> Any:
        """YAML reads `false` and `true` as booleans; a prompt may be just its text."""
        if not isinstance(data, dict):
            return data
        words = {True: "true", False: "false"}
        plain = {**data, "on_stale": words[data["on_stale"]]} if isinstance(data.get("on_stale"), bool) else data
        return {**plain, "prompt": {"text": plain["prompt"]}} if isinstance(plain.get("prompt"), str) else plain

    @model_validator(mode="after")
    def _check(self) -> State:
        if self.prompt is None and not self.silent:
            refuse([Wrong("the state has no sound", "add `prompt:`, or `silent: true`", on_key=True)])
        if self.prompt is not None and self.silent:
            refuse([Wrong("a silent state has no prompt", "delete `prompt:` or `silent:`", ("silent",), on_key=True)])
        return self


M = TypeVar("M", bound=Section)
UNREADABLE = Signal(of=("?",))
"""Stands for a signal whose definition is wrong."""


def _if_good(model: type[M], raw: Any) -> M | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _conditions_of(raw: Any) -> State:
    """A state of which no more can be read."""
    given = raw if isinstance(raw, dict) else {}
    when, clear = (_if_good(State, {"when": given.get(key), "silent": True}) for key in ("when", "clear"))
    return State.model_construct(when=when.when if when else None, clear=clear.when if clear else None)


class Rules(Section):
    """A whole rules file."""

    gridtone: Literal[1] = Field(description="Version of this format.")
    title: LocalText | None = Field(None, description="What these rules are for.")
    signals: dict[str, Signal] = Field(default_factory=dict, description="What conditions speak of, by name.")
    states: dict[str, State] = Field(min_length=1, description="The states, by name.")
    fallback: str | None = Field(None, description="The state while no other is true; it has no `when`.")

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, read: ModelWrapValidatorHandler[Rules]) -> Rules:
        """What is wrong in the parts and what is wrong between them comes out together."""
        try:
            rules = read(data)
        except ValidationError as error:
            rules = cls._good_parts(data)
            refuse([*rules._wrong_names(), *rules._wrong_expressions(), *rules._unknown_fallback(), *rules._wrong_conditions()], error)
            raise
        refuse([*rules._wrong_names(), *rules._wrong_expressions(), *rules._unknown_fallback(), *rules._missing_conditions(), *rules._wrong_conditions()])
        return rules

    @classmethod
    def _good_parts(cls, data: Any) -> Rules:
        """What can be read of each part. A signal that cannot be read still has its name, a state its conditions."""
        raw = data if isinstance(data, dict) else {}
        signals, states = (raw[key] if isinstance(raw.get(key), dict) else {} for key in ("signals", "states"))
        return cls.model_construct(
            gridtone=1,
            signals={str(name): _if_good(Signal, given) or UNREADABLE for name, given in signals.items()},
            states={str(name): _if_good(State, given) or _conditions_of(given) for name, given in states.items()},
            fallback=raw.get("fallback") if isinstance(raw.get("fallback"), str) else None,
        )

    def _wrong_names(self) -> Iterator[Wrong]:
        for section, names in (("signals", self.signals), ("states", self.states)):
            for name in names:
                if not re.fullmatch(r"[^\W\d]\w*", name):
                    yield Wrong(f"`{name}` cannot be a name", "use letters, digits and _, beginning with a letter", (section, name), on_key=True)
        for name in {"and", "or", "not"} & self.signals.keys():
            yield Wrong(f"`{name}` joins conditions", "choose another name", ("signals", name), on_key=True)
        for name in RESERVED & self.states.keys():
            yield Wrong(f"`{name}` is gridtone's own", "choose another name", ("states", name), on_key=True)

    def _wrong_expressions(self) -> Iterator[Wrong]:
        """An expression names signals that points make, never another expression: so there are no circles, and little work."""
        of_points = {name: None for name, signal in self.signals.items() if signal.expression is None}
        for name, signal in self.signals.items():
            for named, offset in signal.expression.signals.items() if signal.expression else ():
                place: Place = ("signals", name, "expression")
                if named not in self.signals:
                    yield Wrong(f"`{named}` is not a signal", did_you_mean(named, of_points) or "define it under `signals:`", place, offset)
                elif named == name:
                    yield Wrong(f"`{named}` is this signal itself", "name the signals that it is made of", place, offset)
                elif named not in of_points:
                    yield Wrong(f"`{named}` is an expression itself", "write out here what it is made of", place, offset)

    def _unknown_fallback(self) -> Iterator[Wrong]:
        if self.fallback is not None and self.fallback not in self.states:
            yield Wrong(f"the fallback `{self.fallback}` is not a state", did_you_mean(self.fallback, self.states), ("fallback",))

    def _missing_conditions(self) -> Iterator[Wrong]:
        for name, state in self.states.items():
            if name != self.fallback:
                if state.when is None:
                    yield Wrong(f"states.{name} lacks `when`", f"add `when:`, or make it the fallback: `fallback: {name}`", ("states", name), on_key=True)
                continue
            for field, key in (("when", "when"), ("clear", "clear"), ("for_", "for"), ("hold", "hold"), ("priority", "priority"), ("on_stale", "on_stale")):
                if field in state.model_fields_set:
                    yield Wrong(
                        f"`{key}` means nothing to the fallback", "delete it: the fallback holds while no other state does", ("states", name, key), on_key=True
                    )

    def _wrong_conditions(self) -> Iterator[Wrong]:
        for name, state in self.states.items():
            for key, condition in (("when", state.when), ("clear", state.clear)):
                for comparison in comparisons(condition) if condition else ():
                    place: Place = ("states", name, key, *comparison.at)
                    signal = self.signals.get(comparison.signal)
                    if signal is None:
                        fix = did_you_mean(comparison.signal, self.signals) or "define it under `signals:`"
                        yield Wrong(f"`{comparison.signal}` is not a signal", fix, place, comparison.offset)
                    elif comparison.unit and signal is not UNREADABLE and comparison.unit != unit_of(signal):
                        is_in = f"is in {unit_of(signal)}" if unit_of(signal) else "has no `unit:`"
                        yield Wrong(
                            f"`{comparison}` is in {comparison.unit}, but {comparison.signal} {is_in}", "use one unit for both", place, comparison.offset
                        )

    def ranked(self) -> list[str]:
        """The states that have conditions, the winner first: by priority, then by order in the file."""
        return sorted((name for name in self.states if name != self.fallback), key=lambda name: -self.states[name].priority)


def title_of(name: str, item: Signal | State) -> Words:
    """What people call it: its title, or its name with spaces."""
    return item.title or {"en": name.replace("_", " ")}


def unit_of(signal: Signal) -> str:
    return signal.unit or ("%" if signal.take == "share" else "")
