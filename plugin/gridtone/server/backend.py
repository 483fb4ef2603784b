"""What the server needs from the running service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from gridtone.alarms import AlarmsView
from gridtone.cue import Cue
from gridtone.events import EventLog
from gridtone.library.audit import Audit
from gridtone.library.listening import Feedback, Play
from gridtone.library.span import StateSpan
from gridtone.library.track import Track
from gridtone.rules.explanation import Explanation
from gridtone.rules.standing import Standing
from gridtone.stock.view import ForecastView, SamplerView
from gridtone.trend import SignalTrend
from gridtone.words import Words
from gridtone_adapters import Health

if TYPE_CHECKING:  # it reads the site's settings, which know the server's
    from gridtone.editing.desk import RulesDesk

__all__ = ["Backend", "Codec", "SamplerView", "StateSpan", "StateView"]

Codec = Literal["opus", "flac"]


@dataclass(frozen=True, slots=True)
class StateView:
    """A state of the rules as listeners see it, with its stock."""

    name: str
    title: Words
    severity: str
    prompt: str
    """The prompt's text; empty for a silent state."""
    silent: bool
    priority: int
    fresh: int
    """Tracks in stock that are still fresh."""
    wanted: int


class Backend(Protocol):
    """The running service. Every method is quick and safe to call from any thread."""

    events: EventLog
    audit: Audit
    rules_desk: "RulesDesk"

    def alive(self) -> bool:
        """Time is being watched. Where it is not, nothing that listeners are told can be trusted, and they are left without a heartbeat."""
        ...

    def standing(self) -> Standing: ...
    def explain(self) -> Explanation: ...
    def cue(self) -> Cue: ...
    def desks(self) -> Mapping[str, float]:
        """How far the music is turned down at each desk that the site lists, dB."""
        ...

    def alarms(self) -> AlarmsView: ...
    def speak(self, who: str, pressed: bool) -> bool:
        """A key of the radio or phone `who` is pressed or released; False where too many are held."""
        ...

    def speech_token(self) -> str | None:
        """The token that opens `speak` and nothing else, if there is one. Raises SetupError where it was named and is not there."""
        ...

    def states(self) -> Sequence[StateView]: ...
    def forecast(self) -> ForecastView:
        """What the stock plans for."""
        ...

    def history(self, start: float, end: float) -> Sequence[StateSpan]: ...
    def signals(self, start: float, end: float) -> Sequence[SignalTrend]:
        """Every signal of the rules between two times, as far back as is kept."""
        ...

    def plays(self, start: float, end: float) -> Sequence[Play]: ...
    def feedback(self, start: float, end: float) -> Sequence[Feedback]: ...
    def record_feedback(self, track_id: str, thumb: int, reason: str) -> None:
        """`thumb`: 1 up, -1 down. Raises LibraryError where it was not kept."""
        ...

    def tracks(self, state: str | None, limit: int, before: float | None) -> Sequence[Track]:
        """Newest first, made before `before`."""
        ...

    def track(self, track_id: str) -> Track | None: ...
    def open_audio(self, track_id: str, codec: Codec) -> tuple[BinaryIO, int] | None:
        """A seekable file and its size in bytes, or None if the store has none."""
        ...

    def sampler(self) -> SamplerView: ...
    def adapters(self) -> Sequence[Health]: ...
    def rules_problem(self) -> str:
        """Why the newest save of the rules file is not in use (the one before it still plays); empty when it is."""
        ...

    def not_ready(self) -> Sequence[str]:
        """What is missing before listeners can be served, for a person; empty when ready."""
        ...
