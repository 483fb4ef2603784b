"""`auto` is undertone only where its table says that it wins or ties with the composer."""

import json
import sys
from dataclasses import asdict

import pytest
from click.testing import CliRunner
from undertone_miniature import miniature

from gridtone.cli import main
from gridtone_engine import EngineError, choose_engine, open_engine
from gridtone_engine.auto import judge_weights
from gridtone_engine.undertone import engine
from gridtone_engine.undertone.evaluate.table import Row
from gridtone_engine.undertone.evaluate.verdict import verdict
from gridtone_engine.undertone.export import export_model

TEMPO, KEY = Row("tempo", 0.86, ">= 0.70", 0.88), Row("key", 0.90, ">= 0.60", 0.85)
LOST = Row("key", 0.29, ">= 0.60", 0.88)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    list(export_model(*miniature(), "tiny", folder))
    return folder


def judge(weights, *rows):
    (weights / "evaluation.json").write_text(json.dumps({"model": "undertone tiny", "rows": [asdict(row) for row in rows]}))


@pytest.mark.parametrize(
    ("row", "compared", "holds"),
    [
        (Row("tempo", 0.80, ">= 0.70", 0.84), True, True),
        (Row("tempo", 0.80, ">= 0.70", 0.86), True, False),
        (Row("energy and loudness range", 0.2, "", 0.5), True, False),
        (Row("windows outside", 0.04, "0", 0.0), True, True),
        (Row("windows outside", 0.20, "0", 0.0), True, False),
        (Row("windows outside", 0.0, "0", 0.2), True, True),
        (Row("most alike windows", 0.97, "< 0.98", 0.80), True, True),
        (Row("most alike windows", 0.99, "< 0.98", 0.80), True, False),
        (Row("distance between seeds", 4.1, ">= 0.8 of the composer's", 5.0), True, True),
        (Row("distance between seeds", 3.9, ">= 0.8 of the composer's", 5.0), True, False),
        (Row("Fréchet distance", 90.0, "reported", 10.0), False, False),
        (Row("codec, onset F1", 0.6, ">= 0.75", 0.8), False, False),
        (Row("the right track of 8", 0.1, ">= 0.38", None), False, False),
        (Row("tempo", None, ">= 0.70", 0.88), False, False),
        (Row("tempo", float("nan"), ">= 0.70", 0.88), True, False),
    ],
)
def test_a_row_is_won_tied_lost_or_no_comparison(row, compared, holds):
    found = verdict([row])
    assert (found.compared, found.holds) == ((row,) if compared else (), holds)
    assert not verdict([row, LOST]).holds
    assert verdict([row, KEY]).holds == (holds or not compared)


def test_auto_opens_the_engine_that_the_table_says(weights):
    judge(weights, TEMPO, KEY)
    assert open_engine("auto", weights=weights, guidance=1.0).name == "undertone"
    chosen = choose_engine("auto", {"weights": str(weights), "threads": 2})
    assert (chosen.name, chosen.options["threads"]) == ("undertone", 2) and "wins or ties with the composer in all 2 rows" in chosen.why
    judge(weights, TEMPO, LOST)
    assert open_engine("auto", weights=weights, guidance=1.0).name == "composer"
    assert "undertone loses in 1 of 2 rows of its table: key (0.29, the composer 0.88)" in choose_engine("auto", {"weights": weights}).why
    with pytest.raises(EngineError, match=r"engine 'auto': there is no option 'gidance'.*; its options are weights"):
        open_engine("auto", gidance=1)


def test_without_weights_a_table_or_the_runtime_auto_is_the_composer(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "SHIPPED", tmp_path / "none")
    assert choose_engine("auto", {}).why == "the composer, because no weights of undertone are shipped"
    assert f"{tmp_path} holds no weights" in choose_engine("auto", {"weights": tmp_path}).why
    (weights / "evaluation.json").unlink(missing_ok=True)
    assert "no evaluation.json lies beside" in choose_engine("auto", {"weights": weights}).why
    for text in ("", "[]", '{"rows": [{"what": "key", "undertone": "0.9"}]}'):
        (weights / "evaluation.json").write_text(text)
        assert "evaluation.json cannot be read" in choose_engine("auto", {"weights": weights}).why
    judge(weights)
    assert "compares nothing" in choose_engine("auto", {"weights": weights}).why

    judge(weights, TEMPO)
    monkeypatch.setattr(engine, "SHIPPED", weights)
    assert judge_weights()[0] and choose_engine("auto", {}).name == "undertone"
    monkeypatch.setitem(sys.modules, "torch", None)
    torch = choose_engine("auto", {"runtime": "torch"})
    assert torch.name == "composer" and "pip install 'gridtone[torch]'" in torch.why
    assert choose_engine("auto", {}).name == "undertone"


def test_generate_says_which_engine_auto_was(weights, tmp_path):
    judge(weights, LOST)
    output = tmp_path / "calm.wav"
    run = CliRunner().invoke(main, ["generate", "calm", "--seconds", "5", "--engine", "auto", "--option", f"weights={weights}", "-o", str(output)])
    assert run.exit_code == 0 and output.exists(), run.output
    assert "auto is the composer, because undertone loses" in " ".join(run.output.split()) and "licence CC0-1.0" in run.output
