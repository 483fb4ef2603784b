"""Draw the spectrograms of docs/composer.md.

python tools/draw_composer.py docs/images
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from scipy import signal

from gridtone_engine.composer import compose, render
from gridtone_engine.composer.score import Score
from gridtone_engine.prompt import Attributes

TRACKS = {
    "calm": Attributes(tempo_bpm=58, key="D dorian", energy=0.1, brightness=0.3),
    "busy": Attributes(tempo_bpm=104, key="F major", energy=0.65, brightness=0.55, density=0.95),
    "alert": Attributes(tempo_bpm=122, key="C# minor", energy=0.95, brightness=0.75),
}
COLOURS = {"pad": "tab:blue", "bass": "tab:purple", "figure": "tab:green", "melody": "tab:red", "answer": "tab:orange"}


def draw(score: Score, path: Path) -> None:
    """The spectrogram above, the notes below, sections marked."""
    samples = render(score).mean(axis=0)[::2]
    frequencies, times, power = signal.spectrogram(samples, 24_000, "hann", 4096, 2048)
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5.2), sharex=True, layout="constrained")
    decibels = 10 * np.log10(power + 1e-14)
    above.pcolormesh(times, frequencies[2:], decibels[2:], vmin=decibels.max() - 75, vmax=decibels.max(), cmap="magma", rasterized=True)
    above.set(yscale="log", ylim=(35, 10_000), ylabel="Hz")
    beat = 60 / score.tempo_bpm
    for part in score.parts:
        for note in part.notes if part.role in COLOURS else ():
            below.plot(
                [note.start * beat, (note.start + note.beats) * beat], [note.pitch] * 2, color=COLOURS[part.role], lw=1.6, alpha=0.3 + 0.7 * note.velocity
            )
    for section in score.sections:
        below.axvline(section.first_bar * score.bar_seconds, color="0.7", lw=0.7)
        below.text(section.first_bar * score.bar_seconds, 98, f" {section.name}", fontsize=7)
    below.set(ylim=(26, 103), xlim=(0, score.seconds), xlabel="seconds", ylabel="MIDI pitch")
    below.legend(handles=[plt.Line2D([], [], color=colour, label=role) for role, colour in COLOURS.items()], ncols=5, fontsize=7, loc="lower right")
    above.set_title(f"{score.tempo_bpm:.0f} bpm, {score.key}: {', '.join(score.attributes.instruments)}", fontsize=8)
    figure.savefig(path, dpi=85)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(160).save(path, optimize=True)


if __name__ == "__main__":
    for seed, (name, attributes) in enumerate(TRACKS.items(), start=5):
        draw(compose(attributes, 90, seed), Path(sys.argv[1]) / f"composer-{name}.png")
