"""When the room wants silence, and why: alarms, floods, unknown alarms, and people who speak.

There is no clock inside. One thread at a time: its owner holds the lock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from gridtone.alarms import Alarm, AlarmBoard, AlarmsView, KeptAlarms, RoomView
from gridtone.alarms.settings import PRIORITIES
from gridtone.conductor import RoomOrder
from gridtone.room.settings import RoomSettings
from gridtone.words import Words

MOST_KEYS = 100
"""Keys of radios and phones that may be held at once."""
ROOM = "room"
"""What the library keeps a `KeptRoom` under."""
CAUSES = ("alarm", "flood", "unknown", "speech", "dwell")
"""Why the room may be silent, in a word; `RoomView.cause` has them."""
NOTHING: Words = {"en": "", "zh": ""}
_SINCE_BEFORE: Words = {"en": " It is from before gridtone started, and has not reported since.", "zh": "该告警发生在 gridtone 本次启动之前，此后未再上报。"}


@dataclass(frozen=True, slots=True)
class KeptRoom:
    """What must outlive a restart."""

    alarms: KeptAlarms = field(default_factory=KeptAlarms)
    held: dict[str, float] = field(default_factory=dict)
    """Who holds a key -> until when at the latest."""


class Room:
    """The room's orders to the music."""

    def __init__(self, settings: RoomSettings, alarms: AlarmBoard) -> None:
        self.alarms = alarms
        self._settings = settings
        self._named: Alarm | None = None
        """The alarm that the reason speaks of: as long as it waits, lesser ones beside it change nothing for listeners."""
        self._held: dict[str, float] = {}
        """Who holds a key -> until when at the latest."""
        self._dwell_seconds = settings.dwell_seconds if alarms.configured else 0.0
        """How long the silence lasts after what asks for it has ended; at first that nobody knows yet how the alarms stand."""
        self._kept: tuple[object, ...] = ()
        self._silent_until = -math.inf
        self._shown: tuple[object, ...] = ()
        self._shown_at = -math.inf

    def keep(self, write: Callable[[KeptRoom], bool]) -> None:
        """Have `write` put down what must outlive a restart, if it is not what `write` last answered True for."""
        kept = (self.alarms.changes, self.alarms.recent, *self._held.items())
        if kept != self._kept and write(KeptRoom(self.alarms.kept(), dict(self._held))):
            self._kept = kept

    def resume(self, kept: KeptRoom, now: float) -> None:
        """Go on as before a restart."""
        self.alarms.resume(kept.alarms, now)
        latest = now + self._settings.speech.longest_seconds
        self._held = {who: min(until, latest) for who, until in kept.held.items()}

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much: what is still to last lasts as long as it would have."""
        self.alarms.set_back(seconds)
        self._held = {who: until - seconds for who, until in self._held.items()}
        self._silent_until -= seconds
        self._shown_at -= seconds

    def order(self, now: float) -> RoomOrder:
        """What the room asks now."""
        _, reason = self._judge(now)
        return RoomOrder(reason, self._settings.night_duck_db(now))

    def cause(self, now: float) -> str:
        """One of CAUSES, or empty while nothing asks for silence."""
        return self._judge(now)[0]

    def speak(self, who: str, pressed: bool, now: float) -> bool:
        """The key of the radio or phone `who` is pressed or released; False where too many are held."""
        if not pressed:
            self._held.pop(who, None)
        elif who in self._held or len(self._held) < MOST_KEYS:
            self._held[who] = now + self._settings.speech.longest_seconds
        else:
            return False
        return True

    def speech_token(self) -> str | None:
        """The token that opens the hook for speech. Raises SetupError where it was named and is not there."""
        return self._settings.speech.token.read() if self._settings.speech.token else None

    def view(self, now: float) -> AlarmsView:
        cause, reason = self._judge(now)
        returns_at = self._silent_until if cause == "dwell" else None
        total, waiting = self.alarms.counts()
        return AlarmsView(
            now,
            self.alarms.configured,
            RoomView(bool(cause), cause, reason or NOTHING, returns_at, self._settings.night_duck_db(now)),
            self.alarms.views(now),
            total,
            waiting,
            self.alarms.recent,
            self.alarms.flood,
            self.alarms.problems(now),
        )

    def news(self, now: float, at_most_every_seconds: float = 1.0) -> AlarmsView | None:
        """What people should be shown if it changed since the last call that told them."""
        if now < self._shown_at + at_most_every_seconds:
            return None
        shown = (self.alarms.changes, *self._judge(now), self.alarms.problems(now))
        if shown == self._shown:
            return None
        self._shown, self._shown_at = shown, now
        return self.view(now)

    def _judge(self, now: float) -> tuple[str, Words | None]:
        """Why there must be silence: the cause in a word, and in words for people."""
        causes: tuple[Callable[[float], tuple[str, Words] | None], ...] = (self._alarm, self._flood, self._unknown, self._speech)
        for find in causes:
            if found := find(now):
                dwell = self._settings.speech.return_seconds if found[0] == "speech" else self._settings.dwell_seconds
                self._dwell_seconds = max(self._dwell_seconds, dwell)
                return found
        self._silent_until = max(self._silent_until, now + self._dwell_seconds)
        self._dwell_seconds = 0.0
        if now < self._silent_until:
            return "dwell", {"en": "Nothing asks for silence any more: the music is about to return.", "zh": "静音原因已消除，音乐即将恢复。"}
        return "", None

    def _alarm(self, _now: float) -> tuple[str, Words] | None:
        most = self.alarms.most_urgent(self._settings.mute_priority)
        named = self._named
        if most is None or named is None or not named.waits or PRIORITIES.index(named.priority) < PRIORITIES.index(most.priority):
            named = self._named = most
        if named is None:
            return None
        dwell = self._settings.dwell_seconds
        unheard = _SINCE_BEFORE if named.resumed else NOTHING
        return "alarm", {
            "en": f"Silent for an alarm that nobody has acknowledged: {named.title['en']} ({named.priority}). "
            f"The music returns {dwell:g} s after the last such alarm is acknowledged.{unheard['en']}",
            "zh": f"有未确认的告警，音乐静音：{named.title.get('zh', named.title['en'])}。最后一条告警确认 {dwell:g} 秒后恢复。{unheard['zh']}",
        }

    def _flood(self, _now: float) -> tuple[str, Words] | None:
        if not self.alarms.flood:
            return None
        limits = self.alarms.settings
        minutes = limits.flood_seconds / 60
        return "flood", {
            "en": f"Silent for an alarm flood: more than {limits.flood_alarms} alarms came within {minutes:g} min. The music returns "
            f"{self._settings.dwell_seconds:g} s after fewer than {limits.flood_ends_below} have come within {minutes:g} min.",
            "zh": f"告警泛滥，音乐静音：{minutes:g} 分钟内超过 {limits.flood_alarms} 条告警。{minutes:g} 分钟内少于 {limits.flood_ends_below} 条后 "
            f"{self._settings.dwell_seconds:g} 秒恢复。",
        }

    def _unknown(self, now: float) -> tuple[str, Words] | None:
        problems = self.alarms.problems(now)
        if problems:
            why = problems[0]
        elif alarm := self.alarms.unknown(self._settings.mute_priority):
            why = {"en": f"{alarm.title['en']} has no valid state", "zh": f"{alarm.title.get('zh', alarm.title['en'])} 状态无效"}
        else:
            return None
        dwell = self._settings.dwell_seconds
        return "unknown", {
            "en": f"Silent because nobody can tell how the alarms stand: {why['en']}. The music returns {dwell:g} s after that is known.",
            "zh": f"告警状态未知，音乐静音：{why.get('zh', why['en'])}。状态已知 {dwell:g} 秒后恢复。",
        }

    def _speech(self, now: float) -> tuple[str, Words] | None:
        self._held = {who: until for who, until in self._held.items() if now < until}
        if not self._held:
            return None
        who = next(iter(self._held))
        return "speech", {
            "en": f"Silent for speech: {who}. The music returns {self._settings.speech.return_seconds:g} s after the key is released.",
            "zh": f"通话中，音乐静音：{who}。松开按键 {self._settings.speech.return_seconds:g} 秒后恢复。",
        }
