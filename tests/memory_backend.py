"""A backend in memory, with real audio, and a server around it on a free port. Run as a script, it serves one playing track until it is killed."""

import hashlib
import io
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray
from sqlalchemy import StaticPool, create_engine

from gridtone.alarms import AlarmsView, RoomView
from gridtone.config import Site
from gridtone.cue import Cue
from gridtone.editing.desk import RulesDesk
from gridtone.editing.rules_file import RulesFile
from gridtone.events import EventLog
from gridtone.library.audit import Audit
from gridtone.library.history import History
from gridtone.library.listening import Feedback, Play
from gridtone.library.tables import AuditRow, Table
from gridtone.library.track import Track
from gridtone.recent import Recent
from gridtone.rules.explanation import Explanation, StateReasons
from gridtone.rules.standing import Comparison, SignalView, Standing
from gridtone.server import ServerSettings, create_app, serve
from gridtone.server.backend import Codec, SamplerView, StateSpan, StateView
from gridtone.stock.forecast import Expectation
from gridtone.stock.view import ForecastView, Outlook
from gridtone.trend import SignalTrend
from gridtone.words import Words
from gridtone_adapters import Health, Rejected

SAMPLE_RATE = 48000
TITLES: dict[str, tuple[str, Words, int]] = {
    "day": ("normal", {"en": "Normal, day load", "zh": "正常，日间负荷"}, 10),
    "evening_peak": ("normal", {"en": "Normal, evening peak", "zh": "正常，晚高峰"}, 20),
    "restorative": ("restorative", {"en": "Restoring", "zh": "恢复中"}, 60),
    "alert": ("alert", {"en": "Alert", "zh": "警戒"}, 70),
    "emergency": ("emergency", {"en": "Emergency", "zh": "紧急"}, 80),
    "in_extremis": ("in_extremis", {"en": "In extremis", "zh": "崩溃"}, 90),
    "no_data": ("unknown", {"en": "No data", "zh": "无数据"}, 100),
}
REASONS: dict[str, Words] = {
    "day": {"en": "All lines are below 80 % and all voltages within limits", "zh": "所有线路负载低于 80 %，电压均在限值内"},
    "alert": {"en": "Line HV-12 is loaded to 92 % (limit 90 %)", "zh": "线路 HV-12 负载 92 %（限值 90 %）"},
    "emergency": {"en": "Line HV-12 is loaded to 112 % (limit 100 %)", "zh": "线路 HV-12 负载 112 %（限值 100 %）"},
    "no_data": {"en": "Frequency has had no reading for 40 s", "zh": "频率已 40 秒无读数"},
}


def chord(hertz: Sequence[float], seconds: float, level: float = 0.1) -> NDArray[np.float64]:
    """Steady sines, shape (frames, 2)."""
    time_axis = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    mono = level * np.sum([np.sin(2 * np.pi * f * time_axis) for f in hertz], axis=0)
    return np.stack([mono, mono], axis=1)


def noise(seed: int, seconds: float, level: float = 0.1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, level, (int(seconds * SAMPLE_RATE), 2)).clip(-1, 1)


def _encoded(samples: NDArray[np.float64], **how: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, **how)
    return file.getvalue()


class MemoryBackend:
    """Implements `Backend`; the tests play the service."""

    def __init__(self) -> None:
        self.events = EventLog()
        self.audit = audit_in_memory()
        self.rules_desk = rules_desk_in_memory()
        self.audio: dict[tuple[str, str], bytes] = {}
        self.library: dict[str, Track] = {}
        self.spans: list[StateSpan] = []
        self.missing: list[str] = []
        self.thumbs: list[Feedback] = []
        self.heard: list[Play] = []
        self.problem = ""
        self.stalled = False
        self.desk_ducks: dict[str, float] = {}
        self.alarm_view = AlarmsView(time.time(), False, RoomView(False, "", {"en": "", "zh": ""}, None, 0.0), (), 0, 0, 0, False, ())
        self.show("day", publish=False)
        self._cue = Cue(1, time.time(), "silence", "day", {"en": "Nothing in stock yet", "zh": "库存为空"})

    def add_track(self, samples: NDArray[np.float64], state: str = "day", codecs: Sequence[Codec] = ("opus", "flac"), **changes: Any) -> Track:
        flac = _encoded(samples, format="FLAC", subtype="PCM_16")
        track_id = hashlib.sha256(flac).hexdigest()
        for codec in codecs:
            self.audio[track_id, codec] = flac if codec == "flac" else _encoded(samples, format="OGG", subtype="OPUS")
        track = Track(
            track_id, state, "calm, warm pads and a slow piano", len(samples) / SAMPLE_RATE, SAMPLE_RATE, 60.0, "D minor", 0.3, 4.0, 0.0, -23.0, -6.0,
            "composer", "composer 1", len(self.library), "CC0-1.0", time.time() + len(self.library) * 1e-3,
        )  # fmt: skip
        self.library[track_id] = replace(track, **changes)
        return self.library[track_id]

    def show(self, state: str, publish: bool = True) -> None:
        severity, title, _ = TITLES[state]
        value = {"alert": 92.4, "emergency": 112.0}.get(state, 63.1)
        rule = "max_line_loading_pct > 90 or frequency_hz < 49.9"
        self._standing = Standing(
            state, title, severity, time.time() - 130, rule, REASONS.get(state, REASONS["day"]), state == "no_data",
            "max_line_loading_pct < 85",
            (Comparison("max_line_loading_pct", ">", 90.0, value > 90, value > 90), Comparison("frequency_hz", "<", 49.9, False, False)),
            (
                SignalView("max_line_loading_pct", {"en": "highest line loading", "zh": "最高线路负载率"}, value, "%", 1.2, False, "line/HV-12/loading_pct"),
                SignalView(
                    "frequency_hz", {"en": "frequency", "zh": "频率"}, None if state == "no_data" else 50.012, "Hz",
                    40.3 if state == "no_data" else 0.4, state == "no_data",
                ),
            ),
        )  # fmt: skip
        if publish:
            self.events.publish("state", self._standing)

    def show_standing(self, standing: Standing) -> None:
        self._standing = standing
        self.events.publish("state", standing)

    def give(self, action: str, track: Track | None = None, **changes: Any) -> Cue:
        """Publish the next cue."""
        reason = {"en": "The state changed", "zh": "状态已改变"}
        self._cue = replace(Cue(self._cue.id + 1, time.time(), action, self._standing.state, reason, track, crossfade_seconds=2.0), **changes)  # type: ignore[arg-type]
        self.events.publish("cue", self._cue)
        if track:
            self.heard.append(Play(self._cue.time, self._cue.state, track.id, track.text, track.licence))
        return self._cue

    def alive(self) -> bool:
        return not self.stalled

    def standing(self) -> Standing:
        return self._standing

    def explain(self) -> Explanation:
        title, standing = TITLES[self._standing.state][1], self._standing
        state = StateReasons(
            standing.state, title, standing.severity, 70, "active", standing.rule, standing.clears, True, standing.comparisons, 10.0, 60.0, None
        )
        return Explanation(time.time(), standing, (state,), standing.signals, forecast=self.forecast())

    def cue(self) -> Cue:
        return self._cue

    def desks(self) -> Mapping[str, float]:
        return self.desk_ducks

    def alarms(self) -> AlarmsView:
        return self.alarm_view

    def speak(self, who: str, pressed: bool) -> bool:
        return True

    def speech_token(self) -> str | None:
        return None

    def states(self) -> Sequence[StateView]:
        return [
            StateView(name, title, severity, "" if name == "no_data" else "calm, warm pads", name == "no_data", priority, (3 * i) % 5, 4)
            for i, (name, (severity, title, priority)) in enumerate(TITLES.items())
        ]

    def forecast(self) -> ForecastView:
        hour = Expectation(0.34, 12.0, 31.0)
        return Outlook(900.0, "day", {"evening_peak": hour, "alert": Expectation(0.02, 0.0, 31.0, 420.0)}).view(
            {name: title for name, (_, title, _) in TITLES.items()}
        )

    def history(self, start: float, end: float) -> Sequence[StateSpan]:
        return [span for span in self.spans if span.start < end and (span.end is None or span.end > start)]

    def signals(self, start: float, end: float) -> Sequence[SignalTrend]:
        times = [start + (end - start) * i / 60 for i in range(60)]
        return [
            SignalTrend("max_line_loading_pct", {"en": "Highest line loading", "zh": "最高线路负载"}, "%", times, [60 + i / 2 for i in range(60)]),
            SignalTrend("frequency_hz", {"en": "Frequency", "zh": "频率"}, "Hz", times, [None if i == 30 else 50 + np.sin(i).item() / 100 for i in range(60)]),
        ]

    def plays(self, start: float, end: float) -> Sequence[Play]:
        return [play for play in self.heard if start <= play.time < end]

    def feedback(self, start: float, end: float) -> Sequence[Feedback]:
        return [thumb for thumb in self.thumbs if start <= thumb.time < end]

    def record_feedback(self, track_id: str, thumb: int, reason: str) -> None:
        track = self.library[track_id]
        self.thumbs.append(Feedback(time.time(), track_id, track.state, track.text, thumb, reason))

    def tracks(self, state: str | None, limit: int, before: float | None) -> Sequence[Track]:
        newest_first = sorted(self.library.values(), key=lambda track: -track.created)
        return [track for track in newest_first if (state in (None, track.state)) and (before is None or track.created < before)][:limit]

    def track(self, track_id: str) -> Track | None:
        return self.library.get(track_id)

    def open_audio(self, track_id: str, codec: Codec) -> tuple[BinaryIO, int] | None:
        content = self.audio.get((track_id, codec))
        return None if content is None else (io.BytesIO(content), len(content))

    def sampler(self) -> SamplerView:
        return SamplerView(True, "composer", "", "track 2 of 4 for Alert", 0.42, ("alert, seed 7: loudness -20.1 LUFS, wanted -23 ±0.5",))

    def adapters(self) -> Sequence[Health]:
        rejected = Rejected("not_a_number", "grid/line/HV-7/loading_pct", '{"value": "n/a"}')
        return [
            Health("scada", True, received=48211, rejected={"not_a_number": 3}, samples=(rejected,)),
            Health("historian", False, "cannot connect to influx.example:8086: connection refused; is InfluxDB running?", received=120, dropped=2),
        ]

    def rules_problem(self) -> str:
        return self.problem

    def not_ready(self) -> Sequence[str]:
        return self.missing


def audit_in_memory() -> Audit:
    database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Table.metadata.create_all(database, [AuditRow.__table__])
    return Audit(database)


def rules_desk_in_memory() -> RulesDesk:
    """Over the default pack, with nothing recorded."""
    database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Table.metadata.create_all(database)
    site = Site(data=Path("no-such-folder"))
    desk = RulesDesk(site, RulesFile(site, None), History(database), Recent(site.data, 24))
    desk.note()
    return desk


def day_of_states(now: float) -> list[StateSpan]:
    """A plausible last day, ending in a state that lasts."""
    hours = [("day", 9.0), ("evening_peak", 4.0), ("alert", 0.4), ("emergency", 0.15), ("restorative", 0.5), ("day", 6.0), ("no_data", 0.2), ("day", 3.75)]
    start = now - sum(length for _, length in hours) * 3600
    spans = []
    for state, length in hours:
        end = start + length * 3600
        spans.append(StateSpan(state, TITLES[state][0], start, end, REASONS.get(state, REASONS["day"])))
        start = end
    spans[-1] = replace(spans[-1], end=None)
    return spans


@contextmanager
def running(backend: MemoryBackend, folder: Path | None = None, **settings: Any) -> Iterator[str]:
    """Serve `backend` on a loopback port (a free one unless said), with the tokens of a data folder; yield the address."""
    checked = ServerSettings(**{"port": 0, "max_listeners": 20} | settings)
    ready, stop = threading.Event(), threading.Event()
    addresses: list[str] = []

    def on_ready(address: str) -> None:
        addresses.append(address)
        ready.set()

    thread = threading.Thread(target=serve, args=(create_app(backend, checked, folder), checked, on_ready, stop))
    thread.start()
    try:
        assert ready.wait(120), "the server did not start"
        yield addresses[0]
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive(), "the server did not stop"


if __name__ == "__main__":
    memory = MemoryBackend()
    memory.give("play", memory.add_track(chord([440.0], 60)))
    server_settings = ServerSettings(port=int(sys.argv[1]))
    serve(create_app(memory, server_settings), server_settings, on_ready=lambda url: print(url, flush=True))
