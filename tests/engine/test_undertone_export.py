"""The model as it ships, run by onnxruntime, against torch."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from undertone_miniature import TINY, miniature

from gridtone_engine.engine import EngineError
from gridtone_engine.prompt import Prompt
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import ask, stack
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.export import compare, export_model, write_networks
from gridtone_engine.undertone.generate import Sampling, sample_codes
from gridtone_engine.undertone.onnx_model import OnnxModel
from gridtone_engine.undertone.prior import Prior
from gridtone_engine.undertone.torch_model import TorchModel

ASKED = [ask(Prompt("calm, in D minor")), ask(Prompt("140 bpm, piano"))]


@pytest.fixture(scope="module")
def reference() -> TorchModel:
    return TorchModel(*miniature(2))


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    lines = list(export_model(*miniature(2), "tiny", folder))
    assert "int8 against torch" in lines[-1]
    return folder


@pytest.fixture(scope="module")
def plain(weights, tmp_path_factory) -> OnnxModel:
    """In 32 bits: any difference is a mistake, not rounding."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copy(weights / "undertone.json", folder)
    write_networks(*miniature(2), folder, int8=False)
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


@pytest.mark.parametrize("open_model", [OnnxModel, lambda folder: TorchModel.load(folder, "cpu")], ids=["onnx", "torch"])
def test_eight_bits_stay_close(reference, weights, open_model):
    model = open_model(weights)
    assert 0 < compare(reference, model) < 0.1
    codes = np.random.default_rng(0).integers(TINY.codec.codes, size=(1, TINY.codec.codebooks, 30))
    wanted = reference.decode(codes)
    error = model.decode(codes) - wanted
    assert np.sqrt((error**2).mean()) < 0.15 * np.sqrt((wanted**2).mean())


def test_what_is_large_is_kept_once_and_read_by_both_runtimes(tmp_path):
    """In the recipe's widths: at toy size nearly all is small."""
    torch.manual_seed(0)
    small = RECIPES["small"]
    codec = Codec(replace(small.codec, fast_blocks=1, slow_blocks=1))
    prior = Prior(replace(small.prior, depth=1))
    codec.find_components(torch.rand(8, 80 * codec.config.frame_hops, codec.config.numbers))
    codec.quantiser.vectors.normal_(std=0.1)
    prior.codes.begin(codec.quantiser.vectors)
    torch.nn.init.normal_(prior.codes.write.weight, std=0.05)
    lines = list(export_model(codec, prior, "small", tmp_path))
    numbers = sum(weight.numel() for network in (codec, prior) for weight in network.state_dict().values())
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert total < 2 * numbers
    assert all((tmp_path / name).stat().st_size < 500_000 for name in ("condition.onnx", "step.onnx", "encode.onnx"))
    assert lines[-2].split() == ["total", f"{total / 1e6:.1f}", "MB"]

    ours, theirs = TorchModel.load(tmp_path, "cpu"), OnnxModel(tmp_path)
    assert compare(ours, theirs) < 0.03
    audio = np.random.default_rng(0).normal(0, 0.1, (1, 2, 12 * codec.config.hop)).astype(np.float32)
    codes = ours.encode(audio)
    assert (theirs.encode(audio) == codes).mean() > 0.98
    wanted = ours.decode(codes)
    assert np.sqrt(((theirs.decode(codes) - wanted) ** 2).mean()) < 0.05 * np.sqrt((wanted**2).mean())


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(EngineError, match="holds no weights of undertone"):
        OnnxModel(tmp_path)


def test_a_damaged_file_is_named(weights, tmp_path):
    shutil.copytree(weights, tmp_path, dirs_exist_ok=True)
    (tmp_path / "step.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"step\.onnx cannot be opened"):
        OnnxModel(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"weights\.safetensors cannot be loaded"):
        TorchModel.load(tmp_path, "cpu")
    with pytest.raises(EngineError, match=r"condition\.onnx cannot be opened"):
        OnnxModel(tmp_path)
