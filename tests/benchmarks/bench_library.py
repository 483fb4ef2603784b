"""How soon there is sound, what a track takes on disk, and what the library costs the path of a cue.

Real composer, real gate, real sampler process. `python tests/benchmarks/bench_library.py`
"""

import os
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from gridtone.cue import Cue
from gridtone.gate.limits import GateLimits
from gridtone.library.library import Library
from gridtone.library.settings import LibrarySettings
from gridtone.library.track import Track
from gridtone.stock.engines import EngineChoice
from gridtone.stock.settings import StockSettings
from gridtone.stock.stock import StateNeed, Stock
from gridtone_engine import Prompt

STATES = {"alert": "tense but calm, 84 bpm", "day": "专注、沉稳、有节奏", "night": "still, sparse, warm pads"}


def first_sound(data: Path, bits: int) -> tuple[float, Track, float, float]:
    """Seconds from starting the stock to the first track, that track, and kB a second of FLAC and Opus."""
    changed = threading.Event()
    with Library.open(LibrarySettings(flac_bits=bits), data) as library:
        stock = Stock(library, StockSettings(), [EngineChoice("composer")], GateLimits(), changed.set)
        stock.set_states([StateNeed(name, Prompt(text)) for name, text in STATES.items()])
        stock.set_current("day")
        began = time.perf_counter()
        stock.start()
        while not (tracks := library.tracks("day", 1)):
            changed.wait(0.05)
            changed.clear()
        seconds = time.perf_counter() - began
        stock.close()
        [track] = tracks
        sizes = []
        for codec in ("flac", "opus"):
            file, size = library.open_audio(track.id, codec)
            file.close()
            sizes.append(size / track.seconds / 1000)
    return seconds, track, *sizes


def cue_costs(data: Path, track: Track, tracks: int) -> tuple[float, float]:
    """Median milliseconds to look up what may play among `tracks` of a state, and to record a cue."""
    with Library.open(LibrarySettings(), data) as library:
        stock = Stock(library, StockSettings(), [EngineChoice("composer")], GateLimits(), lambda: None)
        stock.set_states([StateNeed("day", Prompt(""))])
        for n in range(tracks - 1):
            files = [library.incoming / str(n), library.incoming / f"{n}o"]
            for file in files:
                file.write_bytes(b"x")
            library.add(replace(track, id=f"{n:064x}"), "hash", *files)
        look_up, record = [], []
        for n in range(100):
            began = time.perf_counter()
            assert len(stock.candidates("day")) == tracks
            look_up.append(time.perf_counter() - began)
            began = time.perf_counter()
            library.record_cue(Cue(n, time.time(), "play", "day", {"en": "why"}, track))
            record.append(time.perf_counter() - began)
    return median(look_up) * 1000, median(record) * 1000


def main() -> None:
    table = Table("what", "measured", "target", caption=f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before")
    data = Path(tempfile.mkdtemp())
    try:
        seconds, track, flac, opus = first_sound(data, 16)
        table.add_row("stock started -> first track to play", f"{seconds:.1f} s ({track.seconds:.0f} s of music)", "<= 10 s")
        table.add_row("a track on disk, 16 bits", f"FLAC {flac:.0f} + Opus {opus:.0f} kB a second", "")
        for tracks in (10, 300):
            look_up, record = cue_costs(data, track, tracks)
            table.add_row(f"what may play, {tracks} tracks of the state", f"{look_up:.2f} ms", "")
            table.add_row(f"record a cue, {tracks} tracks", f"{record:.2f} ms", "")
        _, _, flac, opus = first_sound(data / "24", 24)
        table.add_row("a track on disk, 24 bits", f"FLAC {flac:.0f} + Opus {opus:.0f} kB a second", "")
    finally:
        shutil.rmtree(data)
    Console().print(table)


if __name__ == "__main__":
    main()
