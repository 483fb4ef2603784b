"""Alarms that the music of the default packs masks, over real tracks: python tests/benchmarks/bench_room_audit.py [SECONDS] [TRACKS A STATE]"""

import sys
import time

import numpy as np

from gridtone.gate.limits import GateLimits
from gridtone.room.audit import Audit, Settings, audit
from gridtone.room.audit_bands import over_time
from gridtone.room.audit_examples import ALARM_PEAK, RATE, horn, medical_burst, whoop
from gridtone.room.audit_inputs import QUIETEST_ALARM_DBA, Sound, Tracks, assumed_levels, pack_tracks
from gridtone.room.settings import RoomSettings
from gridtone.rules import load_pack, pack_names

INITIAL_VOLUME_DB = 40 * np.log10(0.7)
"""The page's volume, which acts in its square, before anybody moves it."""


def alarms() -> list[Sound]:
    made = {"medical burst": medical_burst(), "horn": horn(), "whoop": whoop()}
    peak = {name: (ALARM_PEAK * samples / np.abs(samples).max()).astype(np.float32) for name, samples in made.items()}
    return [Sound(name, np.stack([samples, samples]), RATE, "") for name, samples in peak.items()]


def told(what: str, found: Audit, target: str) -> str:
    lowest = min(found.margins, key=lambda margin: margin.octave_db)
    where = f"{lowest.octave_db:.1f} dB ({lowest.alarm} over {lowest.state}, {lowest.octave_hz} Hz)"
    return f"{what:<64}{len(found.masked):>2} of {len(found.alarms)}{target:>9}   {where}"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    per_state = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    sounds = alarms()

    levels = assumed_levels(sounds)
    music_dba, louder = levels.music_dba, levels.model_copy(update={"music_dba": QUIETEST_ALARM_DBA})
    print(f"{per_state} tracks of {seconds:.0f} s a state, finished and passed by the gate; an alarm needs 10 dB in an octave for 99 % of the music's time\n")
    print(f"{'what':<64}{'masked':>7}{'target':>9}   lowest margin")
    audited, music_seconds = 0.0, 0.0
    for pack in pack_names():
        music = list(pack_tracks(pack, load_pack(pack), GateLimits(), RoomSettings(), seconds, per_state).sounds())
        tracks = Tracks(pack, len(music), lambda music=music: iter(music))
        started = time.process_time()
        room, _ = audit(sounds, tracks, levels, Settings())
        audited, music_seconds = audited + time.process_time() - started, music_seconds + sum(track.seconds for track in music)
        loudest, _ = audit(sounds, tracks, levels, Settings(percentile=100))
        loud, _ = audit(sounds, tracks, louder, Settings())
        full, _ = audit(sounds, tracks, None, Settings())
        initial, _ = audit(sounds, tracks, None, Settings(music_db=INITIAL_VOLUME_DB))
        print(told(f"{pack}: alarms {QUIETEST_ALARM_DBA:g}, music {music_dba:g}, room {levels.background:g} dB(A)", room, "0"))
        print(told("  the same, in the music's loudest 0.25 s", loudest, ""))
        quietest = max(room.least_dba(alarm) or 0.0 for alarm in room.alarms)
        print(f"  the quietest level at which all of them would stand out there: {quietest:.1f} dB(A)")
        print(told("  one system, files peaking at -6 dBFS, page's initial volume", initial, ""))
        print(told("  the same at full volume", full, ""))
        print(told(f"  music as loud as the alarms, {QUIETEST_ALARM_DBA:g} dB(A): not to be done", loud, "> 0"))
    started = time.process_time()
    over_time(music[0].samples, music[0].sample_rate)
    ratio = (audited / music_seconds) / ((time.process_time() - started) / music[0].seconds)
    print(f"\naudit: {music_seconds / audited:.0f} times real time, {ratio:.1f} times what its spectra take")


if __name__ == "__main__":
    main()
