"""How closely undertone plays its lead sheets, by how it is sampled: `python tools/undertone_notes.py 5,0.9,1/8,2/3 5,0.9,1,1 [--weights FOLDER]`.

A setting is guidance, temperature, and what is left of both where notes are only held. Each plays the same held-out prompts, 12 s each. "Notes" is the mean
onset F1, within 80 ms, of what basic-pitch hears against the notes of the lead sheets, without percussion; then come energy against onset rate (Spearman's
correlation), the key, and onsets a second where little (energy below 0.3) and much (above 0.7) was asked for. Some five minutes a setting on one core.
"""

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from gridtone_engine.composer import master
from gridtone_engine.undertone.conditions import ask
from gridtone_engine.undertone.engine import SHIPPED
from gridtone_engine.undertone.evaluate.asking import Question, question
from gridtone_engine.undertone.evaluate.hearing import Heard, hear, notes, onset_f1
from gridtone_engine.undertone.evaluate.table import follows, key
from gridtone_engine.undertone.generate import Sampling, sample_codes
from gridtone_engine.undertone.lead_sheet import DRUMS, LINES, LOWEST, PITCHES, Sheet
from gridtone_engine.undertone.onnx_model import OnnxModel
from gridtone_engine.undertone.synthesis import synthesised

FIRST, SECONDS = 100, 12.0
FOLLOWS = follows("energy", lambda sound: sound.onsets_per_second)


def told(sheet: Sheet) -> list[tuple[float, float, int, float]]:
    """(start, end, MIDI pitch, velocity) of what the first seconds of a sheet tell, once each, whoever plays it."""
    beat = 60 / sheet.tempo_bpm
    pitched = sheet.notes[(sheet.notes[:, 2] < LINES - len(DRUMS)) & (sheet.notes[:, 0] * beat < SECONDS)]
    return sorted({(start * beat, min(end * beat, SECONDS), int(line) % PITCHES + LOWEST, velocity) for start, end, line, velocity in pitched})


def played(model: OnnxModel, asked: Question, sampling: Sampling) -> tuple[float, Heard]:
    """The onset F1 of one prompt, and all else that is heard."""
    config, request = model.codec_config, ask(asked.prompt)
    reference = told(request.sheet._sheet)
    codes = sample_codes(model, [request], [asked.prompt.seed], round(SECONDS * config.frame_rate), sampling)
    samples = np.clip(synthesised(model.decode(codes)[0], config), -1, 1)
    master.level(samples, config.sample_rate)
    return onset_f1(reference, notes(samples, config.sample_rate), 0.08), hear(samples, config.sample_rate)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", metavar="GUIDANCE,TEMPERATURE,OF_GUIDANCE,OF_TEMPERATURE")
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--prompts", type=int, default=24)
    said = parser.parse_args(arguments)
    model = OnnxModel(said.weights)
    questions = [question(FIRST + number, "en", SECONDS) for number in range(said.prompts)]
    asked = [one.asked for one in questions]
    energies = np.array([np.nan if one.energy is None else one.energy for one in asked])
    print("| setting | notes | energy and onset rate | calm | loud | key |\n|---|---|---|---|---|---|")
    for setting in said.settings:
        guidance, temperature, held_guidance, held_temperature = (float(Fraction(part)) for part in setting.split(","))
        sampling = Sampling(guidance, temperature, held_guidance=held_guidance, held_temperature=held_temperature)
        watched = track(questions, description=setting, console=Console(stderr=True), transient=True)
        scores, heard = zip(*(played(model, one, sampling) for one in watched), strict=True)
        rates = np.array([sound.onsets_per_second for sound in heard])
        calm, loud = rates[energies < 0.3].mean(), rates[energies > 0.7].mean()
        row = f"{np.mean(scores):.2f} | {FOLLOWS(asked, heard):.2f} | {calm:.2f} | {loud:.2f} | {key(asked, heard):.2f}"
        print(f"| {setting} | {row} |", flush=True)


if __name__ == "__main__":
    main()
