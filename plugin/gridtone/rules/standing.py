"""Which state the grid is in, and why."""

from dataclasses import dataclass

from gridtone.words import Words

NO_DATA = "no_data"
"""The state of a grid that cannot be seen: telemetry is missing or stale. Always silent."""
NO_STATE = "no_state"
"""The state of a grid that is seen but that no rule recognises, where the rules name no fallback. Always silent."""
RESERVED = frozenset({NO_DATA, NO_STATE})


@dataclass(frozen=True, slots=True)
class SignalView:
    """A signal as an explanation shows it."""

    name: str
    title: Words
    value: float | None
    """None while no reading has arrived."""
    unit: str
    age_seconds: float | None
    """Since the source timestamp of the newest reading behind it."""
    stale: bool
    point: str = ""
    """The point that decided the value, where one did (the most loaded line, the lowest voltage)."""
    expression: str = ""
    """What it is worked out from, as written; empty for signals that points make."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a rule, as it stands now."""

    signal: str
    operator: str
    limit: float
    true: bool
    decides: bool
    """The state is active because of this one."""
    margin: float | None = None
    """How far the value is from changing this comparison; None while it is unknown."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A state whose condition is true while its `for` runs."""

    state: str
    enters_at: float
    """Seconds since the Unix epoch, if nothing changes."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The active state and its reasons. Made anew at every change; cheap to make, never changed."""

    state: str
    title: Words
    severity: str
    """`normal`, `alert`, `emergency`, `in_extremis`, `restorative`, or `unknown` for the two states of `RESERVED`."""
    since: float
    """Seconds since the Unix epoch."""
    rule: str
    """The condition that holds, as written."""
    reason: Words
    """One sentence for an operator: `line HV-12 is loaded to 112 % (limit 100 %)`."""
    silent: bool
    """The rules decided that this state is silent."""
    clears: str = ""
    """The condition that ends the state, as written; empty where it ends when the rule holds no longer."""
    comparisons: tuple[Comparison, ...] = ()
    """Of the rule."""
    signals: tuple[SignalView, ...] = ()
    """Every signal that rule and `clears` speak of."""
    also_true: tuple[str, ...] = ()
    """States whose condition holds too but that lost by priority."""
    holds_until: float | None = None
    """Until when its `hold` keeps it, seconds since the Unix epoch; None when nothing does."""
    pending: tuple[Pending, ...] = ()
    """States that are about to be entered."""
