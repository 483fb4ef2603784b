"""What shows how good undertone's weights are: model card, spectrograms, samples, and the table of docs/undertone.md, which goes to standard output.

    python tools/undertone_evidence.py engine/gridtone_engine/undertone/weights evaluation --run .training --compute "2.2 hours of one CPU core."

The weights are what `gridtone train export` wrote, the evaluation what `gridtone train evaluate` wrote with its tracks, the run is the folder of the training.
Beside the weights it writes `MODEL_CARD.md`, and `evaluation.json`: the table by which `auto` chooses, with the share of the tracks that pass the gate.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from math import log2
from pathlib import Path
from string import Template

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
import soundfile
from matplotlib import font_manager
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track as progress
from scipy.signal import resample_poly, spectrogram

from gridtone.gate.check import check
from gridtone.gate.finish import finish
from gridtone_engine import Engine, Prompt, Rendition, open_engine
from gridtone_engine.auto import judge_weights
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import read_recipe, read_shapes
from gridtone_engine.undertone.evaluate.table import Row, markdown
from gridtone_engine.undertone.evaluate.verdict import read_rows
from gridtone_engine.undertone.prior import Prior

ROOT = Path(__file__).parents[1]
CARD = Path(__file__).with_name("undertone_card.md")
GATE = "tracks that pass the gate"
SECONDS, SHOWN_SECONDS = 12, 10
PROMPTS = {
    "night": Prompt("deep calm night, slow warm pads, 60 bpm, in D minor", SECONDS, 1),
    "day": Prompt("focused and steady, electric piano, 96 bpm, in F major", SECONDS, 2),
    "alert": Prompt("alert and tense, driving, strings, 120 bpm, in E minor", SECONDS, 3),
    "chinese": Prompt("专注、沉稳、有节奏，钢琴，每分钟88拍，G大调", SECONDS, 4),
}
RATE, WINDOW, HOP = 32_000, 4096, 512
EDGES_HZ = np.geomspace(40, 12_000, 241)
RANGE_DB = 70
CHINESE_FONT = "NotoSansCJK-Regular.ttc"
"""Debian's fonts-noto-cjk has it."""


def passing(tracks: Path) -> float:
    """Share of the tracks in a folder that pass the gate, each finished and judged as `gridtone serve` does. Says on the terminal why the others do not."""
    files = sorted(tracks.glob("*.flac"))
    if not files:
        raise SystemExit(f"{tracks} holds no tracks; make them: gridtone train evaluate -o {tracks.parent}")
    reports = []
    for file in progress(files, f"the gate hears {tracks.name}", transient=True, console=Console(stderr=True)):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        reports.append(check(finish(np.ascontiguousarray(samples.T), rate), rate))
    why = Counter(failure.check for report in reports for failure in report.failures)
    passed = sum(report.passed for report in reports)
    reasons = "".join(f", {name} {count}" for name, count in why.most_common())
    print(f"{tracks.name}: {passed} of {len(files)} pass the gate{reasons}", file=sys.stderr)
    return passed / len(files)


def judged(evaluation: Path, weights: Path) -> list[Row]:
    """The rows of the evaluation and the gate's, which are written beside the weights."""
    described = json.loads((evaluation / "evaluation.json").read_text("utf-8"))
    gate = Row(GATE, passing(evaluation / "undertone"), ">= 0.95", passing(evaluation / "composer"))
    rows = [*read_rows(evaluation / "evaluation.json"), gate]
    (weights / "evaluation.json").write_text(json.dumps(described | {"rows": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False), encoding="utf-8")
    return rows


def card(weights: Path, rows: Sequence[Row], run: Path, recipe_source: str, compute: str) -> str:
    """The model card. `weights` holds its evaluation.json already."""
    recipe, recipe_file = read_recipe(recipe_source), Path(recipe_source)
    described, evaluated = (json.loads((weights / name).read_text("utf-8")) for name in ("undertone.json", "evaluation.json"))
    codec, prior = read_shapes(weights)
    files = sorted(file for file in weights.iterdir() if file.suffix in (".safetensors", ".onnx"))
    steps = {part: json.loads((run / f"{part}.jsonl").read_text("utf-8").splitlines()[-1])["step"] for part in ("codec", "prior")}
    bits = log2(codec.codes)
    option = f"--recipe {recipe_file.name}"
    return Template(CARD.read_text("utf-8")).substitute(
        model=described["model"],
        licence=described["licence"],
        version=version("gridtone"),
        sample_rate=codec.sample_rate,
        codec_millions=millions(Codec(codec)),
        prior_millions=millions(Prior(prior)),
        frame_rate=f"{codec.frame_rate:g}",
        codebooks=codec.codebooks,
        bits=f"{bits:g}",
        kilobits=f"{codec.frame_rate * codec.codebooks * bits / 1000:.1f}",
        width=prior.width,
        depth=prior.depth,
        heads=prior.heads,
        window_seconds=f"{prior.window / codec.frame_rate:.0f}",
        files="\n".join(["| file | MB | SHA-256 |", "|---|---|---|", *map(described_file, files)]),
        pieces=recipe.corpus.pieces,
        piece_seconds=f"{recipe.corpus.seconds:g}",
        hours=f"{recipe.corpus.pieces * recipe.corpus.seconds / 3600:.1f}",
        held_out=recipe.corpus.held_out_pieces,
        commands="\n".join([*(f"gridtone train {part} {option}" for part in ("corpus", "codec", "prior")), f"gridtone train export {option} -o weights"]),
        recipe=recipe_file.name,
        recipe_text=f"\n```yaml\n{recipe_file.read_text('utf-8').strip()}\n```\n" if recipe_file.is_file() else "",
        steps=", ".join(f"{part} {count}" for part, count in steps.items()),
        compute=compute,
        prompts=evaluated["size"]["prompts"],
        seconds=f"{evaluated['size']['seconds']:g}",
        table=markdown(rows),
        verdict=f"The engine `auto` is {'undertone' if (found := judge_weights(weights))[0] else 'the composer'}, because {found[1]}.",
    )


def millions(network: Codec | Prior) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.1f}"


def described_file(file: Path) -> str:
    content = file.read_bytes()
    return f"| `{file.name}` | {len(content) / 1e6:.1f} | `{hashlib.sha256(content).hexdigest()}` |"


def played(engine: Engine) -> dict[str, Rendition]:
    """A finished track of every prompt."""
    tracks = zip(PROMPTS, engine.sample(list(PROMPTS.values())), strict=True)
    return {name: track.with_samples(finish(track.samples, track.sample_rate)) for name, track in tracks}


def write_ogg(track: Rendition, path: Path) -> None:
    """As Ogg Vorbis, a second at a time: libsndfile may crash over long ones in one go."""
    with soundfile.SoundFile(path, "w", track.sample_rate, 2, format="OGG", subtype="VORBIS") as file:
        for start in range(0, track.samples.shape[1], track.sample_rate):
            file.write(track.samples[:, start : start + track.sample_rate].T)


def levels(track: Rendition) -> NDArray[np.float64]:
    """Decibels of the mono sound, (bands between `EDGES_HZ`, times): the loudest bin of each."""
    mono = resample_poly(track.samples.mean(axis=0), RATE, track.sample_rate)[: SHOWN_SECONDS * RATE + WINDOW]
    hz, _, power = spectrogram(mono, RATE, "hann", WINDOW, WINDOW - HOP)
    firsts = np.searchsorted(hz, EDGES_HZ[:-1]).clip(max=len(hz) - 1)
    return 10 * np.log10(np.maximum.reduceat(power, firsts) + 1e-14)


def draw(columns: dict[str, dict[str, Rendition]], path: Path) -> None:
    """A row for each prompt, an engine in each column, all on one scale of loudness."""
    for file in font_manager.findSystemFonts():
        if Path(file).name == CHINESE_FONT:
            font_manager.fontManager.addfont(file)
            mpl.rcParams["font.family"] = ["DejaVu Sans", font_manager.fontManager.ttflist[-1].name]
    pictures = {engine: {name: levels(track) for name, track in tracks.items()} for engine, tracks in columns.items()}
    loudest = max(picture.max() for tracks in pictures.values() for picture in tracks.values())
    figure = plt.figure(figsize=(9, 10), layout="constrained")
    rows = figure.subfigures(len(PROMPTS), 1)
    for row, (name, prompt) in zip(rows, PROMPTS.items(), strict=True):
        row.suptitle(prompt.text, fontsize=10)
        for axes, (engine, tracks) in zip(row.subplots(1, len(pictures), sharey=True), pictures.items(), strict=True):
            starts = np.arange(tracks[name].shape[1] + 1) * HOP / RATE
            axes.pcolormesh(starts, EDGES_HZ, tracks[name], vmin=loudest - RANGE_DB, vmax=loudest, cmap="magma", rasterized=True)
            axes.set(yscale="log", xlim=(0, SHOWN_SECONDS), ylim=(40, 12_000), yticks=(50, 100, 200, 500, 1000, 2000, 5000, 10_000))
            axes.yaxis.set_major_formatter("{x:.0f}")
            axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
            axes.set_title(engine, fontsize=9, loc="left")
            axes.tick_params(labelsize=8)
        row.supylabel("Hz", fontsize=8)
    figure.supxlabel("seconds", fontsize=8)
    figure.savefig(path, dpi=95)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training, for the steps that were run")
    parser.add_argument("--recipe", default="small", help="by which it was trained")
    parser.add_argument("--compute", required=True, help="hours and machine, in a sentence")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where images/ and audio/ go")
    said = parser.parse_args()
    for folder in ("images", "audio"):
        (said.docs / folder).mkdir(parents=True, exist_ok=True)
    tracks = {"undertone": played(open_engine("undertone", weights=said.weights)), "composer": played(open_engine("composer"))}
    for name, track in tracks["undertone"].items():
        write_ogg(track, said.docs / f"audio/undertone_{name}.ogg")
    draw(tracks, said.docs / "images/undertone-spectrograms.png")
    rows = judged(said.evaluation, said.weights)
    text = card(said.weights, rows, said.run, said.recipe, said.compute)
    (said.weights / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    print(markdown(rows), end="")


if __name__ == "__main__":
    main()
