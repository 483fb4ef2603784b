"""The model as it ships, run by onnxruntime, against torch."""

import numpy as np
import pytest
from undertone_miniature import TINY, miniature

from gridtone_engine.engine import EngineError
from gridtone_engine.prompt import Prompt
from gridtone_engine.undertone.conditions import ask, stack
from gridtone_engine.undertone.export import compare, export_model, write_networks
from gridtone_engine.undertone.generate import Sampling, sample_codes
from gridtone_engine.undertone.onnx_model import OnnxModel
from gridtone_engine.undertone.torch_model import TorchModel

ASKED = [ask(Prompt("calm, in D minor")), ask(Prompt("140 bpm, piano"))]


@pytest.fixture(scope="module")
def reference() -> TorchModel:
    return TorchModel(*miniature(2))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> OnnxModel:
    """In 32 bits: any difference is a mistake, not rounding."""
    folder = tmp_path_factory.mktemp("plain")
    codec, prior = miniature(2)
    list(export_model(codec, prior, "tiny", folder))
    write_networks(codec, prior, folder, int8=False)
    return OnnxModel(folder)


def test_codec_and_conditions_are_the_same(reference, plain):
    audio = np.random.default_rng(0).normal(0, 0.1, (2, 2, 12 * TINY.codec.hop + 5)).astype(np.float32)
    codes = reference.encode(audio)
    assert (plain.encode(audio) == codes).mean() > 0.98
    assert np.abs(plain.decode(codes) - reference.decode(codes)).max() < 1e-4
    told = stack([asked.conditions for asked in ASKED])
    assert np.abs(plain.condition(told) - reference.condition(told)).max() < 1e-4


def test_the_same_seed_gives_the_same_codes_past_the_window(reference, plain):
    frames = 2 * TINY.prior.window
    assert compare(reference, plain, frames) < 1e-4
    ours, theirs = (sample_codes(model, ASKED, [1, 2], frames, Sampling()) for model in (reference, plain))
    assert np.array_equal(ours, theirs)


def test_eight_bits_stay_close(reference, tmp_path):
    lines = list(export_model(*miniature(2), "tiny", tmp_path))
    assert "int8 against torch" in lines[-1]
    assert 0 < compare(reference, OnnxModel(tmp_path)) < 0.1
    codes = np.random.default_rng(0).integers(TINY.codec.codes, size=(1, TINY.codec.codebooks, 30))
    wanted = reference.decode(codes)
    error = OnnxModel(tmp_path).decode(codes) - wanted
    assert np.sqrt((error**2).mean()) < 0.15 * np.sqrt((wanted**2).mean())


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(EngineError, match="holds no weights of undertone"):
        OnnxModel(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    list(export_model(*miniature(2), "tiny", tmp_path))
    (tmp_path / "step.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"step\.onnx cannot be opened"):
        OnnxModel(tmp_path)
