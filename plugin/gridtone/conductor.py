"""From a state to a cue: which track plays now, or why there is silence.

The conductor holds no clock and no database: it is told the time, the standing and what is in stock, and answers with a cue when listeners should do
something else than before.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from gridtone.cue import Cue
from gridtone.library.errors import LibraryError
from gridtone.library.track import Track
from gridtone.rules.standing import Standing
from gridtone.words import Words

log = logging.getLogger(__name__)

SEVERITIES = ("unknown", "normal", "restorative", "alert", "emergency", "in_extremis")
"""From calm to grave: a change to the right is an escalation."""

TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FIFTHS_ABOVE_MAJOR = {"major": 0, "ionian": 0, "lydian": 1, "mixolydian": -1, "dorian": -2, "minor": -3, "aeolian": -3, "phrygian": -4, "locrian": -5}


NO_TRACK_YET: Words = {"en": "No track is ready yet; the first one is being made.", "zh": "尚无可播放的曲目，第一首正在生成。"}
UNREADABLE: Words = {
    "en": "Silent because the library cannot be read, and with it which tracks fit the grid; it is tried again all the time.",
    "zh": "无法读取曲库，不知道哪些曲目适合当前电网状态，音乐静音；系统会不断重试。",
}


class ConductorSettings(BaseModel):
    """How the music follows the states."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dwell_seconds: float = Field(
        20.0,
        ge=0,
        description="The music stays at least this long with a state, so that a flapping grid does not flap it. Escalations and silence do not wait.",
    )
    crossfade_seconds: float = Field(4.0, ge=0.05, le=30, description="Length of the crossfade between two tracks; at most a third of a track.")
    urgent_crossfade_seconds: float = Field(
        1.5, ge=0.05, le=30, description="Length of the crossfade when the state escalates: it begins at once, not at the next bar."
    )
    fade_in_seconds: float = Field(5.0, ge=0.05, le=30, description="Music that returns from silence fades in over this long.")
    lead_seconds: float = Field(
        10.0,
        ge=1,
        le=60,
        description="How long before a track ends its successor is announced, so that listeners can load it; not before a third of it has played.",
    )


SILENCE_SECONDS = 0.3
"""The fade into silence: with the way to the listener it stays well below a second."""


@dataclass(frozen=True, slots=True)
class RoomOrder:
    """What the room asks of the music, whatever the state of the grid."""

    mute: Words | None = None
    """Why there must be silence; None while there need not be."""
    duck_db: float = 0.0
    """How far to turn the music down, 0 or negative."""


ANYTHING_GOES = RoomOrder()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track that may play."""

    track: Track
    fresh: bool


Stock = Callable[[str], Sequence[Candidate]]
"""State -> the tracks that may play for it. Raises LibraryError where that cannot be read."""


def key_distance(one: str | None, other: str | None) -> int:
    """Steps on the circle of fifths between the key signatures of two keys such as `D minor` (0 to 6); 3 where one is unknown."""
    if one is None or other is None:
        return 3
    steps = abs(_fifths(one) - _fifths(other)) % 12
    return min(steps, 12 - steps)


def _fifths(key: str) -> int:
    tonic, _, mode = key.partition(" ")
    semitones = TONICS[tonic[0].upper()] + tonic.count("#") - tonic[1:].count("b")
    return semitones * 7 % 12 + FIFTHS_ABOVE_MAJOR.get(mode, 0)


def choose(candidates: Sequence[Candidate], previous: Track | None) -> Track | None:
    """The best track to play after `previous`: fresh, not just heard, near in key and tempo, least played. Deterministic."""

    def cost(candidate: Candidate) -> tuple[bool, bool, float, float, str]:
        track = candidate.track
        distance = 0.0
        if previous:
            distance = key_distance(track.key, previous.key)
            if track.tempo_bpm and previous.tempo_bpm:
                distance += 6 * abs(math.log2(track.tempo_bpm / previous.tempo_bpm))
        just_heard = previous is not None and track.id == previous.id
        return just_heard, not candidate.fresh, track.last_played or 0.0, distance, track.id

    best = min(candidates, key=cost, default=None)
    return best.track if best else None


def _within(track: Track, crossfade_seconds: float) -> float:
    """So much of a crossfade as a track has room for: of a short one, most is heard by itself, whatever the site's settings are."""
    return min(crossfade_seconds, track.seconds / 3)


class Conductor:
    """Follows the standing and the clock. Not thread-safe: its owner holds the lock."""

    def __init__(self, settings: ConductorSettings, stock: Stock, lenders: Callable[[str], Sequence[str]], last: Cue) -> None:
        """`stock` answers for the rules in force, and so does `lenders`: which states' tracks may play in a state that has none of its own.

        `last` is the cue from before a restart, or a silent one with id 0.
        """
        self._settings = settings
        self._stock = stock
        self._lenders = lenders
        self._duck_db = 0.0
        self._changed_at = -math.inf
        self._severity = "unknown"
        self.cue = last

    def follow(self, standing: Standing, now: float, room: RoomOrder = ANYTHING_GOES) -> Cue | None:
        """Answer a standing, or the passing of time under it, with a new cue; None when nothing changes for listeners."""
        self._duck_db = room.duck_db
        if room.mute is not None:
            return self._silence(standing, room.mute, now)
        if standing.silent:
            return self._silence(standing, standing.reason, now)
        try:
            cue = self._follow(standing, now)
        except LibraryError as error:
            cue = self._silence(standing, UNREADABLE, now)
            if cue:
                log.error("silence, as %s", error)
            return cue
        if cue is None and self.cue.action == "play" and self.cue.duck_db != room.duck_db:
            return self._issue(self.cue)
        return cue

    def set_back(self, seconds: float) -> Cue:
        """The clock was set back by so much: what plays goes on, by a cue that says so in the new time."""
        self._changed_at -= seconds
        return self._issue(replace(self.cue, time=self.cue.time - seconds))

    def _follow(self, standing: Standing, now: float) -> Cue | None:
        playing = self.cue.track
        if self.cue.state == standing.state:
            self._severity = standing.severity  # a save of the rules may have changed it
        if playing is None:
            return self._change(standing, now, now, self._settings.fade_in_seconds)
        if self.cue.state == standing.state and (playing.state == standing.state or not self._stock(standing.state)):
            return self._continue(standing, now)
        escalates = SEVERITIES.index(standing.severity) > SEVERITIES.index(self._severity)
        if self.cue.state != standing.state and not escalates and now < self._changed_at + self._settings.dwell_seconds:
            return self._continue(standing, now)
        if escalates:
            return self._change(standing, now, now, self._settings.urgent_crossfade_seconds)
        return self._change(standing, now, self._next_bar(now), self._settings.crossfade_seconds)

    def _continue(self, standing: Standing, now: float) -> Cue | None:
        """Let what plays go on; announce its successor when its end comes near."""
        assert self.cue.track
        ends_at = self._ends_at()
        if now < ends_at - min(self._settings.lead_seconds, (ends_at - self.cue.time) / 2):
            return None
        try:
            return self._play(standing, max(ends_at, now), _within(self.cue.track, self._settings.crossfade_seconds))
        except LibraryError:
            if now >= ends_at:
                raise
            return None  # there is time to try again before it ends

    def _change(self, standing: Standing, now: float, time: float, crossfade_seconds: float) -> Cue | None:
        cue = self._play(standing, time, crossfade_seconds)
        self._changed_at = now
        self._severity = standing.severity
        return cue

    def _ends_at(self) -> float:
        """When the crossfade out of what plays begins."""
        assert self.cue.track
        return self.cue.time + self.cue.track.seconds - _within(self.cue.track, self._settings.crossfade_seconds)

    def _next_bar(self, now: float) -> float:
        """The next downbeat of what plays, or `now` where there is none."""
        track = self.cue.track
        if track is None or track.bar_seconds is None or now >= self._ends_at():
            return now
        first_bar = self.cue.time + track.first_bar_seconds
        return first_bar + max(0, math.ceil((now - first_bar) / track.bar_seconds)) * track.bar_seconds

    def _play(self, standing: Standing, time: float, crossfade_seconds: float) -> Cue | None:
        reason = standing.reason
        track = choose(self._stock(standing.state), self.cue.track)
        if track is None:
            track = choose([candidate for state in self._lenders(standing.state) for candidate in self._stock(state)], self.cue.track)
            if track is None:
                return self._silence(standing, NO_TRACK_YET, time)
            reason = {
                "en": f"{reason['en']} (no track for this state is ready yet: one made for “{track.state}” plays)",
                "zh": f"{reason.get('zh', reason['en'])}（本状态尚无曲目，暂播为“{track.state}”准备的曲目）",
            }
        upcoming = choose([candidate for candidate in self._stock(standing.state) if candidate.track.id != track.id], track)
        return self._issue(Cue(0, time, "play", standing.state, reason, track, upcoming, _within(track, crossfade_seconds)))

    def _silence(self, standing: Standing, reason: Words, now: float) -> Cue | None:
        if self.cue.action == "silence" and self.cue.state == standing.state and self.cue.reason == reason and self.cue.id:
            return None
        self._severity = standing.severity
        return self._issue(Cue(0, now, "silence", standing.state, reason, crossfade_seconds=SILENCE_SECONDS))

    def _issue(self, cue: Cue) -> Cue:
        self.cue = replace(cue, id=self.cue.id + 1, duck_db=self._duck_db)
        return self.cue
