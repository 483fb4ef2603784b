"""Figures from what was heard: undertone's, the composer's on the same prompts, and undertone's under other prompts (shuffled)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.stats import spearmanr

from gridtone_engine.composer.harmony import Key
from gridtone_engine.prompt import Attributes
from gridtone_engine.undertone.evaluate.hearing import Heard

CHOICES = 8
Judge = Callable[[Sequence[Attributes], Sequence[Heard]], float | None]


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    undertone: float | None
    """None: it could not be measured, `note` says why."""
    target: str = ""
    composer: float | None = None
    shuffled: float | None = None
    note: str = ""


def judged(what: str, target: str, judge: Judge, asked: Sequence[Attributes], ours: Sequence[Heard], composer: Sequence[Heard]) -> Row:
    turned = [*asked[len(asked) // 2 + 1 :], *asked[: len(asked) // 2 + 1]]
    return Row(what, judge(asked, ours), target, judge(asked, composer), judge(turned, ours))


def tempo(asked: Sequence[Attributes], heard: Sequence[Heard]) -> float | None:
    """Share of the prompts with a tempo whose beats are within 6 % of it, of its half or its double."""
    right = [
        any(abs(sound.tempo_bpm * factor / said.tempo_bpm - 1) <= 0.06 for factor in (0.5, 1, 2))
        for said, sound in zip(asked, heard, strict=True)
        if said.tempo_bpm
    ]
    return float(np.mean(right)) if right else None


def key(asked: Sequence[Attributes], heard: Sequence[Heard]) -> float | None:
    """Share of the prompts with a key whose tonic and third are heard."""
    right = []
    for said, sound in zip(asked, heard, strict=True):
        if said.key:
            wanted = Key.parse(said.key)
            right.append((sound.tonic, sound.minor) == (wanted.tonic, wanted.is_minor))
    return float(np.mean(right)) if right else None


def follows(scale: str, measure: Callable[[Heard], float]) -> Judge:
    """Spearman's rank correlation of a scale that was asked for with what is measured."""

    def judge(asked: Sequence[Attributes], heard: Sequence[Heard]) -> float | None:
        pairs = [(value, measure(sound)) for said, sound in zip(asked, heard, strict=True) if (value := getattr(said, scale)) is not None]
        if len({value for value, _ in pairs}) < 2 or len({value for _, value in pairs}) < 2:
            return None
        return float(spearmanr(*zip(*pairs, strict=True))[0])

    return judge


def retrieval(ours: Sequence[Heard], composer: Sequence[Heard], shift: int = 0) -> float | None:
    """How often, of `CHOICES` tracks of ours, the one nearest to the composer's track of a prompt was made from that prompt (or, the control, from the one
    `shift` further on). Chance is one in `CHOICES`."""
    if len(ours) < CHOICES or not all(sound.embeddings for sound in (*ours, *composer)):
        return None
    found, asked = (normal(np.array([np.mean(sound.embeddings, axis=0) for sound in sounds])) for sounds in (ours, composer))
    rng, right = np.random.default_rng(0), []
    for number in range(len(asked)):
        for _ in range(20):
            others = rng.permutation([other for other in range(len(found)) if other != number])[: CHOICES - 1]
            choices = np.array([number, *others])
            nearest = choices[int((found[choices] @ asked[number]).argmax())]
            right.append(nearest == (number if not shift else choices[shift]))
    return float(np.mean(right))


def normal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Less their mean, of length 1."""
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))


def frechet(ours: Sequence[Heard], theirs: Sequence[Heard]) -> float | None:
    """Fréchet distance of the embeddings of all 3 s windows, as Gaussians. With some hundred windows it is biased upwards: only distances of as many windows
    compare."""
    sets = [np.array([row for sound in sounds for row in sound.embeddings]) for sounds in (ours, theirs)]
    if any(len(rows) < 2 for rows in sets):
        return None
    means, spreads = [rows.mean(axis=0) for rows in sets], [np.cov(rows.T) for rows in sets]
    root = np.real(sqrtm(spreads[0] @ spreads[1]))
    return float(np.sum((means[0] - means[1]) ** 2) + np.trace(spreads[0] + spreads[1] - 2 * root))


def diversity(groups: Sequence[Sequence[Heard]]) -> float | None:
    """Mean distance between the embeddings of tracks of one prompt under several seeds, over prompts."""
    distances = []
    for group in groups:
        if any(not sound.embeddings for sound in group):
            return None
        found = np.array([np.mean(sound.embeddings, axis=0) for sound in group])
        distances += [float(np.linalg.norm(found[one] - found[other])) for one in range(len(found)) for other in range(one)]
    return float(np.mean(distances)) if distances else None


def drift(samples: NDArray[np.float32], sample_rate: int) -> dict[str, float]:
    """Of a long track in windows of 10 s: how many after the first minute leave the first minute's spread, widened by itself on both sides, in loudness,
    brightness or noisiness; and the highest likeness of two windows, which a loop brings to 1."""
    import librosa

    mono = librosa.resample(samples.mean(axis=0), orig_sr=sample_rate, target_sr=16_000, res_type="polyphase")
    windows = mono[: len(mono) // 160_000 * 160_000].reshape(-1, 160_000)
    measured, pictures = [], []
    for window in windows:
        level = 20 * np.log10(np.sqrt(np.mean(window**2)) + 1e-6)
        centroid = np.log(librosa.feature.spectral_centroid(y=window, sr=16_000).mean() + 1)
        measured.append((level, centroid, np.log(librosa.feature.spectral_flatness(y=window).mean() + 1e-9)))
        picture = np.log(librosa.feature.melspectrogram(y=window, sr=16_000, n_mels=48, hop_length=1600) + 1e-4)
        pictures.append(((picture - picture.mean(axis=1, keepdims=True)) / (picture.std() + 1e-9)).ravel())
    found = np.array(measured)
    low, high = found[:6].min(axis=0), found[:6].max(axis=0)
    margin = np.maximum(high - low, (1.0, 0.1, 0.3))
    outside = ((found[6:] < low - margin) | (found[6:] > high + margin)).any(axis=1)
    alike = np.corrcoef(np.array(pictures)) - 2 * np.eye(len(pictures))
    return {"outside": float(outside.mean()) if len(outside) else 0.0, "alike": float(alike.max())}


def si_sdr_db(heard: NDArray[np.float32], audio: NDArray[np.float32]) -> float:
    """Scale-invariant signal to distortion ratio (Le Roux et al. 2019)."""
    scaled = audio * (float((heard * audio).sum()) / max(float((audio**2).sum()), 1e-9))
    return float(10 * np.log10(max(float((scaled**2).sum()), 1e-12) / max(float(((heard - scaled) ** 2).sum()), 1e-12)))


def markdown(rows: Sequence[Row]) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    lines = ["| | undertone | composer | shuffled prompts | to reach |", "|---|---|---|---|---|"]
    for row in rows:
        what = f"{row.what} ({row.note})" if row.note else row.what
        lines.append(f"| {what} | {shown(row.undertone) or 'not measured'} | {shown(row.composer)} | {shown(row.shuffled)} | {row.target} |")
    return "\n".join(lines) + "\n"
