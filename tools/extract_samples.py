"""Extract the composer's sampled notes from FluidR3Mono_GM.sf3 (MIT; Debian package fluidr3mono-gm-soundfont).

    python tools/extract_samples.py /usr/share/fluidr3mono-gm-soundfont/FluidR3Mono_GM.sf3 engine/gridtone_engine/composer/samples

Takes a few notes of each instrument, trims the silence before the attack, converts to mono at 32 kHz and stores Ogg Vorbis. Nothing is re-tuned or unrolled
here: the measured pitch and the loop points go into index.json, and the renderer does the rest.
"""

import argparse
import io
import itertools
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE = 32_000
PROGRAMS = {  # our name: (General MIDI program, sounding notes wanted: lowest, highest, step; longest seconds kept)
    "piano": (0, 28, 96, 5, 6.0),
    "electric piano": (4, 36, 91, 6, 5.0),
    "marimba": (12, 41, 91, 6, 1.6),
    "guitar": (24, 40, 86, 5, 4.0),
    "harp": (46, 36, 96, 5, 3.5),
    "strings": (48, 36, 91, 5, 5.0),
    "cello": (42, 36, 76, 5, 5.0),
    "flute": (73, 60, 93, 5, 4.0),
    "clarinet": (71, 48, 86, 5, 4.0),
    "bass": (32, 28, 60, 5, 3.0),
}
GENERATORS = {
    17: "pan",
    41: "instrument",
    43: "keys",
    44: "velocities",
    51: "coarse_tune",
    52: "fine_tune",
    53: "sample",
    54: "loop_mode",
    58: "root_key",
    2: "loop_start_offset",
    3: "loop_end_offset",
}


@dataclass
class Header:
    """One sample of the sound font, as its `shdr` record has it; positions are bytes (compressed) or frames (loop)."""

    name: str
    start: int
    end: int
    loop_start: int
    loop_end: int
    rate: int
    root_key: int
    correction_cents: int


class SoundFont:
    """An sf3 file opened for reading its zones and samples."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        chunks = dict(_chunks(data[12:]))
        self.samples = chunks[b"smpl"]
        self.headers = [
            Header(name.split(b"\0")[0].decode(), start, end, loop_start, loop_end, rate, root, correction)
            for name, start, end, loop_start, loop_end, rate, root, correction, _, _ in struct.iter_unpack("<20s5IBbHH", chunks[b"shdr"])
        ]
        presets = list(struct.iter_unpack("<20sHHHIII", chunks[b"phdr"]))
        self.presets = {(bank, program): (index, presets[i + 1][3]) for i, (_, program, bank, index, *_) in enumerate(presets[:-1])}
        instruments = list(struct.iter_unpack("<20sH", chunks[b"inst"]))
        self.instruments = [(first[1], after[1]) for first, after in itertools.pairwise(instruments)]
        self.preset_zones = _zones(chunks[b"pbag"], chunks[b"pgen"])
        self.instrument_zones = _zones(chunks[b"ibag"], chunks[b"igen"])

    def zones(self, program: int) -> Iterator[dict[str, int]]:
        """Every instrument zone of a General MIDI program, with the zone's own and its instrument's global generators merged."""
        first, last = self.presets[(0, program)]
        for preset_zone in self.preset_zones[first:last]:
            if "instrument" not in preset_zone:
                continue
            low, high = self.instruments[preset_zone["instrument"]]
            common: dict[str, int] = {}
            for zone in self.instrument_zones[low:high]:
                if "sample" not in zone:
                    common = zone
                else:
                    yield {**common, **zone}

    def audio(self, header: Header) -> NDArray[np.float64]:
        samples, _ = soundfile.read(io.BytesIO(self.samples[header.start : header.end]))
        return np.asarray(samples)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + size]
        if name == b"LIST":
            yield from _chunks(body[4:])
        else:
            yield name, body
        position += 8 + size  # MuseScore's writer, which made this file, leaves out the pad byte of odd chunks


def _zones(bags: bytes, generators: bytes) -> list[dict[str, int]]:
    starts = [start for start, _ in struct.iter_unpack("<HH", bags)]
    amounts = [(operator, amount) for operator, amount in struct.iter_unpack("<Hh", generators)]
    return [{GENERATORS[o]: a for o, a in amounts[low:high] if o in GENERATORS} for low, high in itertools.pairwise(starts)]


def _covers(zone: dict[str, int], key: int, velocity: int) -> bool:
    def within(name: str, value: int) -> bool:
        packed = zone.get(name, 127 << 8) & 0xFFFF
        return packed & 0xFF <= value <= packed >> 8

    return within("keys", key) and within("velocities", velocity)


def measured_pitch(samples: NDArray[np.float64], nominal: float) -> float:
    """MIDI pitch by the autocorrelation's peak within a semitone of `nominal`; `nominal` itself where the tone is not periodic enough to tell."""
    middle = len(samples) // 3
    window = samples[middle : middle + 8192] - samples[middle : middle + 8192].mean()
    period = SAMPLE_RATE / (440 * 2 ** ((nominal - 69) / 12))
    correlation = np.correlate(window, window, "full")[len(window) - 1 :]
    periods = max(1, min(12, int(len(window) / 4 / period)))  # some periods away the peak is finer, too many away another one is near
    low, high = int(period * periods * 2 ** (-0.5 / 12)), int(period * periods * 2 ** (0.5 / 12)) + 2
    peak = low + int(np.argmax(correlation[low:high]))
    before, at, after = correlation[peak - 1 : peak + 2]
    if at < 0.4 * correlation[0] or not low < peak < high - 1:
        return nominal
    exact = (peak + 0.5 * (before - after) / (before - 2 * at + after)) / periods
    return float(69 + 12 * np.log2(SAMPLE_RATE / exact / 440))


def extract(font: SoundFont, folder: Path) -> None:
    index: dict[str, list[dict[str, float | str | None]]] = {}
    for name, (program, low, high, step, longest_seconds) in PROGRAMS.items():
        taken: set[str] = set()
        for key in range(low, high + 1, step):
            zone = next((z for z in font.zones(program) if _covers(z, key, 70)), None)
            if zone is None:
                continue
            header = font.headers[zone["sample"]]
            if header.name in taken:
                continue
            taken.add(header.name)
            audio = font.audio(header)
            root = zone.get("root_key", -1)
            pitch = (root if root >= 0 else header.root_key) - (header.correction_cents + zone.get("fine_tune", 0)) / 100 - zone.get("coarse_tune", 0)
            onset = int(np.argmax(np.abs(audio) > 0.02 * np.abs(audio).max()))
            onset = max(0, onset - header.rate // 500)
            ratio = SAMPLE_RATE / header.rate
            loops = zone.get("loop_mode", 0) in (1, 3)
            end = min(len(audio), header.loop_end + 64 if loops else onset + int(longest_seconds * header.rate))
            common = math.gcd(SAMPLE_RATE, header.rate)
            short = resample_poly(audio[onset:end], SAMPLE_RATE // common, header.rate // common)
            file = f"{name.replace(' ', '-')}-{round(pitch)}.ogg"
            peak = float(np.abs(short).max())
            soundfile.write(folder / file, short * (0.7 / peak), SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=0.5)
            index.setdefault(name, []).append(
                {
                    "file": file,
                    "pitch": round(measured_pitch(short, pitch), 3),
                    "loop_start": round((header.loop_start - onset) * ratio, 2) if loops else None,
                    "loop_end": round((header.loop_end - onset) * ratio, 2) if loops else None,
                }
            )
            print(f"{file}: {header.name}, {len(short) / SAMPLE_RATE:.2f} s")
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("soundfont", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    extract(SoundFont(arguments.soundfont), arguments.folder)
