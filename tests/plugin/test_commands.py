"""The command line, as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gridtone.config import load_site
from gridtone.documents import DocumentError


def gridtone(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gridtone", *arguments], cwd=cwd, capture_output=True, text=True, timeout=280)


@pytest.mark.parametrize(("text", "said"), [("专注、沉稳、有节奏", "沉稳 → mood: steady"), ("calm ambient, 60 bpm, no drums", "60 bpm → tempo 60 bpm")])
def test_generate_makes_a_track_at_the_level_it_promises_and_says_what_it_understood(tmp_path: Path, text: str, said: str):
    run = gridtone("generate", text, "--seconds", "20", "-o", "out.wav", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "out.wav"
    assert said in run.stderr and "-23.0 LUFS" in run.stderr
    samples, rate = soundfile.read(tmp_path / "out.wav")
    assert abs(len(samples) / rate - 20) < 6 and samples.shape[1] == 2
    assert np.isfinite(samples).all() and 0.05 < abs(samples).max() < 0.75


def test_generate_follows_what_is_said_explicitly_and_repeats_itself_for_a_seed(tmp_path: Path):
    how = ("--seconds", "12", "--tempo", "90", "--key", "D minor", "--instrument", "piano", "--seed", "5")
    for name in ("one.wav", "two.wav"):
        run = gridtone("generate", "calm", *how, "-o", name, cwd=tmp_path)
        assert "90 bpm, D minor" in run.stderr
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "jukbox"), "no engine is called 'jukbox'"),
        (("--key", "H major"), "H major"),
        (("--instrument", "trumpet"), "trumpet"),
        (("-o", "missing/out.wav"), "missing"),
        (("-o", "out.xyz"), "xyz"),
        (("--seconds", "0"), "range"),
    ],
)
def test_generate_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], message: str):
    run = gridtone("generate", "calm", "--seconds", "10", *arguments, cwd=tmp_path)
    assert run.returncode != 0
    assert message.lower() in run.stderr.lower() and "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir()), "nothing half made is left behind"


def test_check_tells_rules_from_sites_and_names_the_line(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text("gridtone: 1\nsignals:\n  load: {of: grid/load}\nstates:\n  high:\n    when: laod > 1\n    prompt: calm\n")
    (tmp_path / "site.yaml").write_text("server: {port: 1}\n")
    run = gridtone("check", "rules.yaml", "site.yaml", cwd=tmp_path)
    assert run.returncode == 1
    assert "rules.yaml:6:11" in run.stderr and "did you mean `load`?" in run.stderr
    assert "site.yaml: good site" in run.stdout


def test_the_environment_overrides_the_file(tmp_path: Path):
    file = tmp_path / "site.yaml"
    file.write_text("server: {port: 1}\n")
    environment = {"GRIDTONE_SERVER__PORT": "9000", "GRIDTONE_STOCK__REFRESH": "null", "GRIDTONE_DATA": "/srv/x", "HOME": "/"}
    site = load_site(file, environment)
    assert (site.server.port, site.stock.refresh, site.data) == (9000, None, Path("/srv/x"))
    with pytest.raises(DocumentError, match="GRIDTONE_SERVER__PROT"):
        load_site(file, {"GRIDTONE_SERVER__PROT": "9000"})
    with pytest.raises(DocumentError, match="GRIDTONE_DATA__X"):
        load_site(None, {"GRIDTONE_DATA": "a", "GRIDTONE_DATA__X": "9000"})


@pytest.mark.parametrize(
    ("text", "name", "value", "message"),
    [
        ("", "GRIDTONE_SERVER__PORT", "[1", "GRIDTONE_SERVER__PORT:1:1: not YAML"),
        ("", "GRIDTONE_SERVER__PORT", "!!bool maybe", "GRIDTONE_SERVER__PORT:1:1: `maybe` is not true or false"),
        ("", "GRIDTONE_SERVER__PORT", "*a", "GRIDTONE_SERVER__PORT:1:1: not YAML"),
        ("# a list\n- server\n", "GRIDTONE_DATA", "x", "site.yaml:2:1: GRIDTONE_DATA cannot be applied: this file is not a mapping"),
        ("- server\n", "GRIDTONE_SERVER__PORT", "1", "site.yaml:1:1: GRIDTONE_SERVER__PORT cannot be applied"),
        ("server:\n", "GRIDTONE_SERVER__PORT", "1", "GRIDTONE_SERVER__PORT cannot be applied: `server` is not a group of settings"),
        ("", "GRIDTONE_RULES__PACK", "nope", "settings from the environment are in force too: GRIDTONE_RULES__PACK"),
    ],
)
def test_an_override_that_cannot_be_applied_is_named(tmp_path: Path, text: str, name: str, value: str, message: str):
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(DocumentError) as error:
        load_site(tmp_path / "site.yaml", {name: value})
    assert message in str(error.value)


@pytest.mark.parametrize("value", ["", "# nothing", "~"])
def test_an_override_may_say_nothing(value: str):
    assert load_site(None, {"GRIDTONE_STOCK__REFRESH": value}).stock.refresh is None


def test_an_unknown_pack_has_a_place_and_does_not_keep_others_from_being_checked(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("data: data\nrules: {pack: nope}\n")
    (tmp_path / "b.yaml").write_text("server: {port: 1}\n")
    run = gridtone("check", "a.yaml", "b.yaml", cwd=tmp_path)
    assert run.returncode == 1 and "a.yaml:2:15: no rules pack is called 'nope'" in run.stderr
    assert "b.yaml: good site" in run.stdout
    run = gridtone("serve", "--config", "a.yaml", cwd=tmp_path)
    assert run.returncode == 1 and "a.yaml:2:15: no rules pack is called 'nope'" in run.stderr


def test_secrets_of_a_site_are_not_in_its_schema_defaults_or_dump(tmp_path: Path):
    (tmp_path / "password").write_text("hunter2-hunter2\n")
    file = tmp_path / "site.yaml"
    file.write_text(
        json.dumps({"adapters": [{"kind": "mqtt", "host": "h", "password": {"file": str(tmp_path / "password")}, "topics": [{"topic": "a", "point": "a"}]}]})
    )
    assert "hunter2" not in repr(load_site(file, {}))
