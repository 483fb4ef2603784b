"""Does the composer do what its prompts say? Judged by estimators that nobody here wrote, with shuffled prompts as the control.

    python tests/benchmarks/bench_composer_follows.py [--prompts 200]

Each prompt asks for a tempo, a key, an energy and a brightness; every second one for a density as well. Half a minute from the middle of a 50 s track is
judged: the tempo by librosa's beats, the key by Krumhansl's profiles on the notes that basic-pitch hears (and, beside it, on librosa's chroma), density by
basic-pitch's onsets, brightness by librosa's spectral centroid. A church mode counts as followed if the tonic is right and the third is (Krumhansl knows
major and minor only).
"""

import argparse
import contextlib
import io
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import basic_pitch
import librosa
import numpy as np
import soundfile
from basic_pitch.inference import Model, predict
from rich.progress import track
from scipy.stats import spearmanr

from gridtone_engine import Attributes, Prompt, open_engine
from gridtone_engine.composer.harmony import MODES, TONICS, Key

SECONDS, SKIPPED_SECONDS, JUDGED_SECONDS = 50.0, 10.0, 30.0
RATE = 22_050
SURE = 0.4
"""basic-pitch's amplitude from which a note counts as an onset: below it mostly hears held notes begin again."""
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])  # Krumhansl and Kessler 1982
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


@dataclass(frozen=True)
class Heard:
    """What the estimators make of a track."""

    tempo_bpm: float
    key: tuple[int, bool]
    """Tonic and whether it is minor, by the notes."""
    chroma_key: tuple[int, bool]
    onsets_per_second: float
    centroid_hz: float


@cache
def model() -> Model:
    return Model(Path(basic_pitch.__file__).parent / "saved_models" / "icassp_2022" / "nmp.onnx")


def krumhansl(weights: np.ndarray) -> tuple[int, bool]:
    """The key whose profile correlates best with 12 pitch-class weights."""
    scores = {(tonic, minor): np.corrcoef(weights, np.roll(MINOR if minor else MAJOR, tonic))[0, 1] for tonic in range(12) for minor in (False, True)}
    return max(scores, key=lambda key: scores[key])


def listen(samples: np.ndarray, sample_rate: int) -> Heard:
    """Judge samples of shape (channels, frames)."""
    mono = librosa.resample(samples.mean(axis=0), orig_sr=sample_rate, target_sr=RATE, res_type="polyphase")
    beats = librosa.beat.beat_track(y=mono, sr=RATE, hop_length=256, units="time")[1]
    tempo = 60 / float(np.polyfit(np.arange(len(beats)), beats, 1)[0]) if len(beats) > 3 else 0.0
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "track.wav"
        soundfile.write(path, mono, RATE)
        notes = predict(path, model())[2]
    weights = np.zeros(12)
    for start, end, pitch, loudness, _ in notes:
        weights[pitch % 12] += (end - start) * loudness
    onsets = np.sort([note[0] for note in notes if note[3] >= SURE])
    distinct = 1 + int((np.diff(onsets) > 0.05).sum()) if len(onsets) else 0
    chroma = librosa.feature.chroma_stft(y=mono, sr=RATE, n_fft=8192, hop_length=4096).mean(axis=1)
    centroid = float(librosa.feature.spectral_centroid(y=mono, sr=RATE).mean())
    return Heard(tempo, krumhansl(weights), krumhansl(chroma), distinct / (len(mono) / RATE), centroid)


def ask(number: int) -> Prompt:
    """The prompt with that number: attributes drawn independently of each other."""
    rng = np.random.default_rng([20, number])
    mode = str(rng.choice(["major", "minor", *(["major", "minor"] * 2), *(name for name in MODES if name not in ("major", "minor", "locrian"))]))
    attributes = Attributes(
        tempo_bpm=round(float(rng.uniform(50, 140)), 1),
        key=f"{TONICS[int(rng.integers(12))]} {mode}",
        energy=float(rng.random()),
        brightness=float(rng.random()),
        density=float(rng.random()) if number % 2 else None,
    )
    return Prompt("", SECONDS, number, attributes)


def tempo_follows(asked: Attributes, heard: Heard) -> bool:
    return any(abs(heard.tempo_bpm * factor / (asked.tempo_bpm or 1) - 1) <= 0.04 for factor in (0.5, 1, 2))


def key_follows(asked: Attributes, key: tuple[int, bool]) -> bool:
    wanted = Key.parse(asked.key or "")
    return key == (wanted.tonic, wanted.is_minor)


def measure(prompts: list[Prompt]) -> list[tuple[Attributes, Attributes, Heard]]:
    """(asked, played, heard) for every prompt."""
    composer = open_engine("composer")
    results = []
    for prompt in track(prompts, description="composing and judging"):
        [rendition] = composer.sample([prompt])
        low = int(SKIPPED_SECONDS * rendition.sample_rate)
        middle = rendition.samples[:, low : low + int(JUDGED_SECONDS * rendition.sample_rate)]
        results.append((prompt.attributes, rendition.attributes, listen(middle, rendition.sample_rate)))
    return results


def figures(results: list[tuple[Attributes, Attributes, Heard]], shift: int = 0) -> dict[str, float]:
    """Shares and rank correlations; `shift` pairs every track with the prompt of another one (the control)."""
    heard = [result[2] for result in results]
    asked, played = ([result[i] for result in results[shift:] + results[:shift]] for i in (0, 1))
    church = [(a, h) for a, h in zip(asked, heard, strict=True) if Key.parse(a.key or "").mode not in ("major", "minor")]
    plain = [(a, h) for a, h in zip(asked, heard, strict=True) if Key.parse(a.key or "").mode in ("major", "minor")]
    left_open = [(a.energy, h.onsets_per_second) for a, h in zip(asked, heard, strict=True) if a.density is None]
    return {
        "tempo within 4 %, octaves apart": float(np.mean([tempo_follows(a, h) for a, h in zip(asked, heard, strict=True)])),
        "key, by basic-pitch's notes": float(np.mean([key_follows(a, h.key) for a, h in zip(asked, heard, strict=True)])),
        "  major and minor prompts": float(np.mean([key_follows(a, h.key) for a, h in plain])),
        "  church modes, tonic and third": float(np.mean([key_follows(a, h.key) for a, h in church])),
        "key, by librosa's chroma": float(np.mean([key_follows(a, h.chroma_key) for a, h in zip(asked, heard, strict=True)])),
        "onset density ~ density played (Spearman)": float(spearmanr([a.density for a in played], [h.onsets_per_second for h in heard])[0]),
        "onset density ~ energy, density left open": float(spearmanr(*zip(*left_open, strict=True))[0]),
        "centroid ~ brightness (Spearman)": float(spearmanr([a.brightness for a in asked], [h.centroid_hz for h in heard])[0]),
    }


TARGETS = (0.8, 0.8, 0.8, 0.8, 0.8, 0.9, 0.9, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--dump", type=Path, help="write what was asked and heard, prompt by prompt")
    arguments = parser.parse_args()
    results = measure([ask(number) for number in range(arguments.prompts)])
    if arguments.dump:
        arguments.dump.write_text("\n".join(f"{a} {h} {p.instruments}" for a, p, h in results))
    control = figures(results, shift=len(results) // 3 * 2 + 1)
    print(f"\n{arguments.prompts} prompts, {JUDGED_SECONDS:g} s judged of each{'':17}measured   target   shuffled prompts")
    for (name, value), target in zip(figures(results).items(), TARGETS, strict=True):
        print(f"{name:58}{value:8.2f} {'>=':>5} {target:.2f} {control[name]:16.2f}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
