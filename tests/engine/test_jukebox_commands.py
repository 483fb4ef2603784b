"""Jukebox from the command line, as a person uses it: labels reported, drafts taken further, interrupted and called again, refused clearly."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jukebox_miniature import miniature

from gridtone_engine.jukebox.configs import LICENCE
from gridtone_engine.jukebox.weights import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(miniature(), folder, licence="CC0-1.0")
    return folder


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gridtone", "generate", "--engine", "jukebox", "--model", "miniature", "--option", f"folder={folder}", *arguments]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)


def test_a_fragment_is_continued_and_what_was_understood_is_said(folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "fragment.wav", 0.5 * np.sin(np.arange(2205) * 0.1), 22_050)
    answer = run(command(folder, "calm, 60 bpm", "--seconds", "1", "--prime", "fragment.wav", "--draft", "-o", "out.wav"), tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "understood calm → genre: ambient (v3), ambient (v2)" in answer.stderr
    assert "not understood 60 bpm" in answer.stderr
    assert "licence CC0-1.0" in answer.stderr
    assert abs(soundfile.info(tmp_path / "out.wav").duration - 1) < 0.01


@pytest.mark.slow
def test_a_draft_is_upsampled_later(folder: Path, tmp_path: Path) -> None:
    text = ("calm", "--seconds", "1", "--seed", "3")
    early = run(command(folder, *text, "--start-level", "1", "-o", "out.wav"), tmp_path)
    assert early.returncode == 1
    assert "level 1 is sampled from all 345 codes of level 2, and 0 are there: sample that level first" in early.stderr
    assert run(command(folder, *text, "--draft", "-o", "draft.wav"), tmp_path).returncode == 0
    upsampled = run(command(folder, *text, "--start-level", "1", "-o", "out.wav"), tmp_path)
    assert upsampled.returncode == 0, upsampled.stderr
    assert (tmp_path / "out.wav").read_bytes() != (tmp_path / "draft.wav").read_bytes()
    assert not list(folder.glob("runs/*/track_0_level_0.npy")), "what is finished is the file; codes of drafts alone are kept"


@pytest.mark.slow
def test_what_is_interrupted_goes_on(folder: Path, tmp_path: Path) -> None:
    arguments = command(folder, "calm", "--seconds", "1", "--seed", "4", "-o", "out.wav")
    before = set(folder.glob("runs/*"))
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it, and so would this process
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    deadline = time.monotonic() + 200
    while not any((path / "track_0_level_2.npy").exists() for path in set(folder.glob("runs/*")) - before):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said
    assert "the same command takes up" in said
    assert "Traceback" not in said
    [unfinished] = set(folder.glob("runs/*")) - before
    kept = np.load(unfinished / "track_0_level_2.npy")
    assert len(kept) >= 32
    again = run(arguments, tmp_path)
    assert again.returncode == 0, again.stderr
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "jukebox", "--option", "modl=5b"], "engine 'jukebox': there is no option 'modl'; its options are model, accept_licence"),
        (["--engine", "jukebox", "--model", "1b_lyrics"], f'accept it by its name: accept_licence: "{LICENCE}"'),
        (["--engine", "jukebox", "--model", "1b_lyrics", "--accept-licence", LICENCE], "lacks vqvae.safetensors"),
        (["--draft"], "engine 'composer': there is no option 'draft'; its options are sample_rate"),
        (["--start-level", "1"], "engine 'composer': there is no option 'start_level'"),
        (["--model", "5b"], "engine 'composer': there is no option 'model'"),
        (["--prime", "fragment.wav"], "the composer cannot continue fragment.wav"),
    ],
)
def test_what_an_engine_has_not_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    soundfile.write(tmp_path / "fragment.wav", np.zeros(100), 22_050)
    folder = ["--option", f"folder={tmp_path}"] if "jukebox" in arguments else []
    answer = run([sys.executable, "-m", "gridtone", "generate", "calm", *arguments, *folder], tmp_path)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_draft_has_no_level_to_begin_from(folder: Path, tmp_path: Path) -> None:
    for arguments in (["--start-level", "2"], ["--start-level", "1", "--draft"]):
        answer = run(command(folder, "calm", *arguments), tmp_path)
        assert answer.returncode == 1
        assert "it is one below the top, 0 to 1, and goes not with a draft" in answer.stderr


def test_models_are_listed(folder: Path) -> None:
    answer = run([sys.executable, "-m", "gridtone", "model", "list", "--folder", str(folder)], folder)
    assert "miniature    here         CC0-1.0" in answer.stdout
