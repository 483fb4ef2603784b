"""The model card, picture, samples and table that go with undertone's weights, all of toy size."""

import json
import re
import runpy
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from PIL import Image
from undertone_miniature import miniature

from gridtone_engine import Prompt, choose_engine, open_engine
from gridtone_engine.undertone.evaluate.table import Row
from gridtone_engine.undertone.export import export_model

TOOL = Path(__file__).parents[2] / "tools/undertone_evidence.py"


@pytest.mark.slow
def test_everything_that_goes_with_the_weights_is_made(tmp_path, monkeypatch, capsys):
    weights, evaluation, run, docs = (tmp_path / name for name in ("weights", "evaluation", "run", "docs"))
    list(export_model(*miniature(), "tiny", weights))
    [good] = open_engine("composer").sample([Prompt("calm", 12)])
    for maker, tracks in (("undertone", (good, good.with_samples(0 * good.samples))), ("composer", (good,))):
        (evaluation / maker).mkdir(parents=True)
        for number, track in enumerate(tracks):
            track.write(evaluation / maker / f"en_{number}.flac")
    rows = [Row("tempo asked for", 0.86, ">= 0.70", 0.88, 0.21), Row("seconds to the first sound", None, "<= 1.5", note="no clock")]
    table = {"model": "undertone tiny", "musicnn": False, "size": {"prompts": 40, "seconds": 20.0}, "rows": [asdict(row) for row in rows]}
    (evaluation / "evaluation.json").write_text(json.dumps(table))
    run.mkdir()
    for part, steps in (("codec", 80), ("prior", 100)):
        (run / f"{part}.jsonl").write_text(f'{{"step": 7, "loss": 3.0}}\n{{"step": {steps}, "loss": 2.0}}\n')
    (tmp_path / "mine.yaml").write_text("from: tiny\ncorpus: {pieces: 1800, seconds: 4}\n")

    command = [str(TOOL), str(weights), str(evaluation), "--run", str(run), "--recipe", str(tmp_path / "mine.yaml"), "--docs", str(docs)]
    monkeypatch.setattr(sys, "argv", [*command, "--compute", "Three minutes of one CPU core."])
    runpy.run_path(str(TOOL), run_name="__main__")

    shown, card = capsys.readouterr().out, (weights / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| tempo asked for | 0.86 | 0.88 | 0.21 | >= 0.70 |" in shown and "| tracks that pass the gate | 0.50 | 1.00 |" in shown
    assert shown in card and "$" not in card and str(tmp_path) not in card
    for said in (
        "# undertone tiny",
        "Apache-2.0",
        "1800 pieces of 4 s, 2.0 hours",
        "--recipe mine.yaml",
        "pieces: 1800",
        "codec 80, prior 100",
        "Three minutes",
    ):
        assert said in card
    assert set(re.findall(r"`(\S+\.(?:onnx|safetensors))`", card)) == {file.name for file in weights.iterdir() if file.suffix in (".onnx", ".safetensors")}
    assert "undertone loses in 1 of 2 rows of its table: tracks that pass the gate (0.50, the composer 1.00)" in card
    assert choose_engine("auto", {"weights": weights}).name == "composer", "what the card says is what auto does"

    samples = sorted((docs / "audio").iterdir())
    assert [file.name for file in samples] == [f"undertone_{name}.ogg" for name in ("alert", "chinese", "day", "night")]
    assert sum(file.stat().st_size for file in samples) < 2e6
    for file in samples:
        audio, rate = soundfile.read(file)
        assert audio.shape == (12 * rate, 2) and abs(pyloudnorm.Meter(rate).integrated_loudness(audio) + 23) < 0.5
    picture = docs / "images/undertone-spectrograms.png"
    assert picture.stat().st_size < 400_000 and len(np.unique(np.asarray(Image.open(picture)))) > 50
