"""The weights that come with gridtone, as whoever has just installed it hears them."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from gridtone.cli import main
from gridtone_engine.undertone.engine import SHIPPED
from gridtone_engine.undertone.export import LARGEST_DIFFERENCE, compare
from gridtone_engine.undertone.onnx_model import OnnxModel
from gridtone_engine.undertone.torch_model import TorchModel


def played(path, text, *more, seconds=4):
    """Sound, (frames, 2), and what was said."""
    result = CliRunner().invoke(main, ["generate", "--engine", "undertone", text, "--seconds", str(seconds), "-o", str(path), *more])
    assert result.exit_code == 0, result.output
    samples, rate = soundfile.read(path)
    assert samples.shape == (seconds * rate, 2) and samples.std() > 0.001
    return samples, result.output


@pytest.mark.parametrize("text", ["calm, slow, warm pads, 60 bpm", "专注、沉稳、有节奏"])
def test_it_plays(tmp_path, text):
    _, said = played(tmp_path / "x.wav", text)
    assert "licence Apache-2.0" in said


def test_the_same_seed_gives_the_same_sound(tmp_path):
    first, again, other = (played(tmp_path / "x.wav", "calm", "--seed", seed, seconds=2)[0] for seed in ("7", "7", "8"))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_it_plays_while_it_is_sampled(tmp_path):
    _, said = played(tmp_path / "x.wav", "calm", "--stream", seconds=2)
    assert "first sound after" in said


def test_it_is_small_and_free():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 40e6
    assert json.loads((SHIPPED / "undertone.json").read_text("utf-8"))["licence"] == "Apache-2.0"


def test_torch_plays_the_same_model():
    ours, theirs = TorchModel.load(SHIPPED, "cpu"), OnnxModel(SHIPPED)
    assert compare(ours, theirs) < LARGEST_DIFFERENCE
    codes = np.random.default_rng(0).integers(ours.codec_config.codes, size=(1, ours.codec_config.codebooks, 50))
    wanted = ours.decode(codes)
    assert np.sqrt(((theirs.decode(codes) - wanted) ** 2).mean()) < 0.1 * np.sqrt((wanted**2).mean())


@pytest.mark.parametrize("more", [(), ("--stream",)], ids=["track", "stream"])
def test_music_is_as_bright_as_was_asked(tmp_path, more):
    def centroid(text):
        samples, _ = played(tmp_path / "x.wav", text, *more)
        magnitudes = np.abs(np.fft.rfft(samples.mean(axis=1)))
        return (magnitudes * np.fft.rfftfreq(len(samples))).sum() / magnitudes.sum()

    assert 1.5 * centroid("dark") < centroid("bright")
