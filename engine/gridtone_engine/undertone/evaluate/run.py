"""Makes the tracks, has them heard, and puts the figures together. Tracks and what was heard in them are kept: what was stopped goes on."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from gridtone_engine.engine import Engine, EngineError, Progress
from gridtone_engine.prompt import Prompt
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Samples, claimed, make
from gridtone_engine.undertone.engine import Undertone
from gridtone_engine.undertone.evaluate import table
from gridtone_engine.undertone.evaluate.asking import Question, question
from gridtone_engine.undertone.evaluate.hearing import Heard, has_musicnn, hear, notes, onset_f1
from gridtone_engine.undertone.evaluate.table import Row
from gridtone_engine.undertone.synthesis import levels_of, synthesised

FIRST_LONG_SEED = 7
FIRST_PIECE = 100_000
"""Of the held-out pieces that the codec is judged on: no other use of them begins there."""
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made and heard."""

    prompts: int = 40
    seconds: float = 20.0
    pieces: int = 16
    """For the codec, of trained and of unseen timbres each."""
    diverse_prompts: int = 6
    seeds: int = 4
    """Tracks of a prompt, for how different they are."""
    long_seconds: float = 300.0
    long_tracks: int = 4
    more: int = 92
    """Tracks, which nobody here hears: those that the gate is to pass are 200 with them."""


def evaluate(undertone: Undertone, folder: Path, size: Size, report: Report = lambda _: None) -> list[Row]:
    """All rows of the table, written to `evaluation.json` and `evaluation.md` in `folder` as well. Raises EngineError where an evaluator is missing, or the
    folder holds tracks of other weights, sampled otherwise or of another length."""
    from gridtone_engine.composer import Composer

    _claim(folder, undertone, size)
    makers: dict[str, Engine] = {"undertone": undertone, "composer": Composer()}
    questions = {language: [question(number, language, size.seconds) for number in range(size.prompts)] for language in ("en", "zh")}
    seeds = [[prompt_again(asked, seed) for seed in range(size.seeds)] for asked in questions["en"][: size.diverse_prompts]]
    tracks = [(f"{one.language}_{one.number}", one.prompt) for group in questions.values() for one in group]
    tracks += [(f"seed_{number}_{seed}", prompt) for number, group in enumerate(seeds) for seed, prompt in enumerate(group)]
    more = [question(number, "en", size.seconds) for number in range(size.prompts, size.prompts + size.more)]
    peers = questions["en"] if has_latentscore() else []
    total = len(makers) * (len(tracks) + len(more)) + len(peers) + 2 * size.pieces + size.long_tracks
    done = 0
    heard: dict[str, dict[str, Heard]] = {name: {} for name in makers}
    for maker, engine in makers.items():
        for name, prompt in tracks:
            report(Progress(done / total, f"{maker}: {name}, {len(tracks)} tracks"))
            heard[maker][name] = _heard(folder / maker / name, partial(_sampled, engine, prompt))
            done += 1
        for one in more:
            report(Progress(done / total, f"{maker}: en_{one.number}, {len(more)} more tracks"))
            _kept(folder / maker / f"en_{one.number}", partial(_sampled, engine, one.prompt))
            done += 1
    latentscore = []
    for one in peers:
        report(Progress(done / total, f"LatentScore: en_{one.number}, {len(peers)} tracks"))
        latentscore.append(_heard(folder / "latentscore" / f"en_{one.number}", partial(_latentscore, one.prompt)))
        done += 1
    rows = _following(questions, heard, latentscore)
    for unseen in (False, True):
        scores = []
        for number in range(FIRST_PIECE, FIRST_PIECE + size.pieces):
            report(Progress(done / total, f"codec: piece {number}"))
            scores.append(_codec_scores(undertone, number, min(size.seconds, 10.0), unseen, folder / "codec"))
            done += 1
        rows += _codec_rows(scores, unseen, undertone)
    long_ones = []
    for seed in range(size.long_tracks):
        report(Progress(done / total, f"{size.long_seconds:.0f} s in one go: {seed + 1} of {size.long_tracks}"))
        long_ones.append({name: _drifted(engine, folder / name, size.long_seconds, seed) for name, engine in makers.items()})
        done += 1
    rows += _long_rows(long_ones, size.long_seconds)
    rows += _speed_rows(undertone)
    described = {"model": undertone.model, "musicnn": has_musicnn(), "size": asdict(size), "rows": [asdict(row) for row in rows]}
    (folder / "evaluation.json").write_text(json.dumps(described, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "evaluation.md").write_text(table.markdown(rows), encoding="utf-8")
    return rows


def _claim(folder: Path, undertone: Undertone, size: Size) -> None:
    """Write down whose tracks a folder holds."""
    weights = hashlib.sha256((undertone.folder / "weights.safetensors").read_bytes()).hexdigest()
    told = {"model": undertone.model, "weights": weights, "sampling": asdict(undertone.sampling), "seconds": size.seconds}
    record = folder / "tracks.json"
    if not claimed(record, told):
        raise EngineError(f"{folder} holds tracks of something else, as {record.name} in it says: choose another folder (-o), or remove it")


def prompt_again(asked: Question, seed: int) -> Prompt:
    return Prompt(asked.prompt.text, asked.prompt.seconds, asked.prompt.seed + 100_000 * (seed + 1))


def _sampled(engine: Engine, prompt: Prompt) -> tuple[Samples, int]:
    [rendition] = engine.sample([prompt])
    return rendition.samples, rendition.sample_rate


def has_latentscore() -> bool:
    return find_spec("latentscore") is not None


def _latentscore(prompt: Prompt) -> tuple[Samples, int]:
    """A track of the peer's, 0.1.8: one channel, on both sides."""
    import latentscore

    audio = latentscore.render(prompt.text, duration=prompt.seconds)
    return np.stack([audio.samples] * 2), audio.sample_rate


def _kept(path: Path, made: Callable[[], tuple[Samples, int]]) -> tuple[Samples, int]:
    """A track from its file, or made and written."""
    file = path.with_suffix(".flac")
    if not file.exists():
        samples, rate = made()
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part")
        soundfile.write(partial, np.clip(samples, -1, 1).T, rate, format="FLAC")
        partial.replace(file)
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), rate


def _heard(path: Path, made: Callable[[], tuple[Samples, int]]) -> Heard:
    record = path.with_suffix(".json")
    if record.exists():
        found = Heard(**json.loads(record.read_text("utf-8")))
        if found.embeddings or not has_musicnn():
            return found
    found = hear(*_kept(path, made))
    record.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def _following(questions: dict[str, list[Question]], heard: dict[str, dict[str, Heard]], latentscore: Sequence[Heard]) -> list[Row]:
    every = [one for group in questions.values() for one in group]

    def of(maker: str, group: Sequence[Question]) -> list[Heard]:
        return [heard[maker][f"{one.language}_{one.number}"] for one in group]

    asked, ours, composer = [one.asked for one in every], of("undertone", every), of("composer", every)
    rows = [
        table.judged("tempo asked for, within 6 %, octaves apart", ">= 0.70", table.tempo, asked, ours, composer),
        table.judged("energy and onset rate, Spearman", ">= 0.70", table.follows("energy", lambda sound: sound.onsets_per_second), asked, ours, composer),
        table.judged("energy and loudness range, Spearman", "", table.follows("energy", lambda sound: sound.loudness_range_lu), asked, ours, composer),
        table.judged("brightness and centroid, Spearman", ">= 0.70", table.follows("brightness", lambda sound: sound.centroid_hz), asked, ours, composer),
        table.judged("key asked for, by Krumhansl's profiles on basic-pitch's notes", ">= 0.60", table.key, asked, ours, composer),
    ]
    missing = "" if has_musicnn() else "musicnn is not installed"
    for language, group in questions.items():
        pair = of("undertone", group), of("composer", group)
        rows.append(Row(f"the right track of {table.CHOICES}, {language}", table.retrieval(*pair), ">= 0.38", None, table.retrieval(*pair, shift=1), missing))
    noise = [Heard(0, 0, False, 0, 0, 0, sound) for sound in _noise_embeddings(len(every))]
    other = [heard["composer"][name] for name in heard["composer"] if name.startswith("seed")]
    distances = [table.frechet(sounds, composer) for sounds in (ours, other, noise, latentscore)]
    rows.append(Row("Fréchet distance to the composer's tracks", distances[0], "reported", distances[1], None, missing or "composer: other seeds"))
    rows.append(Row("Fréchet distance of white noise to them", distances[2], "control", None, None, missing))
    without = "" if latentscore else "latentscore is not installed"
    rows.append(Row("Fréchet distance of LatentScore to them", distances[3], "reported", None, None, missing or without or "English prompts, by keywords"))
    groups = {maker: _groups(sounds) for maker, sounds in heard.items()}
    spread = [table.diversity(groups[maker]) for maker in ("undertone", "composer")]
    rows.append(Row("distance between seeds of a prompt", spread[0], ">= 0.8 of the composer's", spread[1], None, missing))
    return rows


def _groups(sounds: dict[str, Heard]) -> list[list[Heard]]:
    found: dict[str, list[Heard]] = {}
    for name, sound in sounds.items():
        if name.startswith("seed"):
            found.setdefault(name.split("_")[1], []).append(sound)
    return list(found.values())


def _noise_embeddings(tracks: int) -> list[list[list[float]]]:
    from gridtone_engine.undertone.evaluate.hearing import embeddings

    rng = np.random.default_rng(0)
    return [embeddings(rng.normal(0, 0.1, (2, 20 * SAMPLE_RATE)).astype(np.float32), SAMPLE_RATE) for _ in range(tracks)] if has_musicnn() else []


def _codec_scores(undertone: Undertone, number: int, seconds: float, unseen: bool, folder: Path) -> dict[str, Any]:
    """Of one held-out piece: coded and decoded; only taken to levels and back; and another piece in its place."""
    record = folder / f"{'unseen' if unseen else 'seen'}_{number}.json"
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text("utf-8"))
        return found
    audio, other = (make(piece, seconds, "held_out", unseen_timbres=unseen).samples for piece in (number, number + 1))
    codes, again = undertone.heard_again(audio)
    frames = again.shape[1]
    audio = audio[:, :frames]
    config = undertone.codec_config
    reference = notes(audio, SAMPLE_RATE)
    sounds = {"codec": again, "levels": synthesised(levels_of(audio[None], config)[0], config), "other": other}
    scores = {name: onset_f1(reference, notes(sound, SAMPLE_RATE)) for name, sound in sounds.items()}
    scores |= {"si_sdr": table.si_sdr_db(again, audio), "codes": codes.tolist()}
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(scores), encoding="utf-8")
    return scores


def _codec_rows(scores: list[dict[str, Any]], unseen: bool, undertone: Undertone) -> list[Row]:
    """The composer's column holds what levels alone, without any codes, give; the shuffled one another piece."""
    mean = {name: float(np.mean([score[name] for score in scores])) for name in ("codec", "levels", "other", "si_sdr")}
    kind = "unseen timbres" if unseen else "held-out pieces"
    note = "composer's column: without codes; shuffled: another piece"
    rows = [Row(f"codec, onset F1, {kind}", mean["codec"], ">= 0.60" if unseen else ">= 0.75", mean["levels"], mean["other"], note)]
    if not unseen:
        codes = np.concatenate([np.array(score["codes"]) for score in scores], axis=1)
        used = np.mean([len(np.unique(book)) for book in codes]) / undertone.codec_config.codes
        rows.append(Row("codec, share of codes in use", float(used), ">= 0.60", note=f"{codes.shape[1]} frames, {len(codes)} codebooks"))
        rows.append(Row("codec, SI-SDR, dB", mean["si_sdr"], "reported", note="phases are made, not coded: below 0 is expected"))
    return rows


def _drifted(engine: Engine, folder: Path, seconds: float, seed: int) -> dict[str, float]:
    prompt = Prompt("calm, warm pads, 72 bpm, in D minor", seconds, FIRST_LONG_SEED + seed)
    return table.drift(*_kept(folder / f"long_{seconds:.0f}_{prompt.seed}", partial(_sampled, engine, prompt)))


def _long_rows(found: Sequence[dict[str, dict[str, float]]], seconds: float) -> list[Row]:
    def of(name: str, what: str) -> list[float]:
        return [drifts[name][what] for drifts in found]

    what = f"{seconds:.0f} s in one go, {len(found)} seeds: windows of 10 s outside the first minute's spread"
    outside, alike = ((of("undertone", measure), of("composer", measure)) for measure in ("outside", "alike"))
    return [
        Row(what, float(np.mean(outside[0])), "0", float(np.mean(outside[1]))),
        Row("the same: likeness of the two most alike windows", max(alike[0]), "< 0.98", max(alike[1]), note="1 is a loop"),
    ]


def _speed_rows(undertone: Undertone) -> list[Row]:
    began = time.perf_counter()
    next(undertone.stream(Prompt("calm, slow, warm pads")))
    first = time.perf_counter() - began
    began = time.perf_counter()
    list(undertone.sample([Prompt("calm, slow, warm pads", 20)]))
    return [
        Row("times real time, as it runs here", 20 / (time.perf_counter() - began), ">= 1.5"),
        Row("seconds to the first sound", first, "<= 1.5"),
    ]
