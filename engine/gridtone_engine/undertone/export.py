"""The weights that ship: one file in 8 bits for torch and onnxruntime; networks for the latter, made from torch's definition and checked against it."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gridtone_engine.engine import EngineError
from gridtone_engine.prompt import INSTRUMENTS, Prompt
from gridtone_engine.undertone.checkpoints import trained_codec, trained_prior
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import SENTENCE_WIDTH, SIZES, ask
from gridtone_engine.undertone.configs import Recipe
from gridtone_engine.undertone.generate import Model
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH
from gridtone_engine.undertone.onnx_model import OnnxModel
from gridtone_engine.undertone.prior import Prior
from gridtone_engine.undertone.torch_model import LARGE, WEIGHTS, TorchModel, packed, together

OPSET = 17
LARGEST_DIFFERENCE = 0.1
"""Between the chances of a code by torch and by int8 (total variation, mean over steps): more is an error."""


class _Encode(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, levels: Tensor) -> Tensor:
        return self.codec.quantiser.encode(self.codec.latents(levels))


class _Decode(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, codes: Tensor) -> Tensor:
        return self.codec.decode(codes)


class _Step(nn.Module):
    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.prior.step(*inputs)


def export(recipe: Recipe, run: Path, output: Path, *, polished: bool = False) -> Iterator[str]:
    """Write the trained weights of a run's folder. Yields what was done, for a person. Raises EngineError if int8 strays too far from torch."""
    yield from export_model(trained_codec(recipe, run, polished=polished), trained_prior(recipe, run), recipe.name, output)


def export_model(codec: Codec, prior: Prior, name: str, output: Path) -> Iterator[str]:
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").unlink(missing_ok=True)  # of other weights, if there is one
    reference = TorchModel(codec, prior)
    (output / WEIGHTS).write_bytes(save(packed(together(codec, prior))))  # save_file lets nobody else read it
    described = {"model": f"undertone {name}", "licence": "Apache-2.0", "codec": asdict(codec.config), "prior": asdict(prior.config)}
    (output / "undertone.json").write_text(json.dumps(described, indent=2), encoding="utf-8")
    stored = TorchModel.load(output, "cpu")
    write_networks(stored.codec, stored.prior, output, int8=True)
    sizes = {path.name: path.stat().st_size for path in sorted(output.iterdir())}
    for file, size in [*sizes.items(), ("total", sum(sizes.values()))]:
        yield f"{file:22} {size / 1e6:6.1f} MB"
    difference = compare(reference, OnnxModel(output))
    yield f"int8 against torch: the chances of a code differ by {difference:.3f}"
    if difference > LARGEST_DIFFERENCE:
        raise EngineError(f"int8 strays from torch by {difference:.3f}, more than {LARGEST_DIFFERENCE}: these weights cannot be shipped in 8 bits")


def write_networks(codec: Codec, prior: Prior, output: Path, *, int8: bool) -> None:
    """condition, step, encode, decode as ONNX files."""
    config, head_width = prior.config, prior.config.width // prior.config.heads
    memory = torch.zeros(config.depth, 2, config.heads, config.window, head_width)
    turn = torch.zeros(2, 1, 1, head_width // 2)
    told, sheet = torch.zeros(2, config.depth * config.width), torch.zeros(2, len(config.around), SHEET_WIDTH)
    step = (torch.zeros(2, config.codebooks, dtype=torch.int64), told, sheet, turn, turn, memory, memory, torch.zeros(2, config.window))
    asked = (torch.zeros(2, len(SIZES), dtype=torch.int64), torch.zeros(2, 2 * len(INSTRUMENTS)), torch.zeros(2, SENTENCE_WIDTH))
    frames = 4
    levels, codes = torch.rand(2, frames * codec.config.frame_hops, codec.config.numbers), torch.zeros(2, config.codebooks, frames, dtype=torch.int64)
    first = {0: "rows"}
    step_axes = {"codes": first, "told": first, "sheet": first, "cos": first, "sin": first, "keys": {1: "rows"}, "values": {1: "rows"}, "mask": first}
    asked_axes = {"steps": first, "instruments": first, "sentence": first}
    _write(prior.condition, asked, asked_axes, output / "condition.onnx", int8=int8)
    _write(_Step(prior), step, step_axes, output / "step.onnx", int8=int8)
    _write(_Encode(codec), (levels,), {"levels": {0: "rows", 1: "time"}}, output / "encode.onnx", int8=int8)
    _write(_Decode(codec), (codes,), {"codes": {0: "rows", 2: "time"}}, output / "decode.onnx", int8=int8)


def _write(network: nn.Module, inputs: tuple[Tensor, ...], axes: dict[str, dict[int, str]], path: Path, *, int8: bool) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its own successor
        plain = Path(folder) / path.name if int8 else path
        options: dict[str, Any] = {"input_names": list(axes), "dynamic_axes": axes, "opset_version": OPSET, "dynamo": False}
        torch.onnx.export(network.eval(), inputs, str(plain), **options)
        if int8:
            stored = load_file(path.parent / WEIGHTS)
            graph = onnx.load(plain).graph
            # linear layers are under no name of ours: the exporter has transposed them
            matrices = {weight.name for weight in graph.initializer if prod(weight.dims) >= LARGE} - stored.keys()
            kept = [node.name for node in graph.node if node.op_type == "MatMul" and not matrices & set(node.input)]
            quantize_dynamic(plain, path, op_types_to_quantize=["MatMul", "Gemm"], nodes_to_exclude=kept, per_channel=True, weight_type=QuantType.QInt8)
            _share(path, stored)


def _share(path: Path, stored: dict[str, Tensor]) -> None:
    """Let a network read what is large from the weights beside it. What is kept in 16 bits becomes 32 when it is opened: onnxruntime folds constants."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.external_data_helper import set_external_data

    network, weights = onnx.load(path), (path.parent / WEIGHTS).read_bytes()
    graph = network.graph
    for tensor in graph.initializer:
        if tensor.name in stored and stored[tensor.name].dtype == torch.float16:
            name, short = tensor.name, tensor.name + ".float16"
            tensor.CopyFrom(numpy_helper.from_array(stored[name].numpy(), short))
            graph.node.insert(0, helper.make_node("Cast", [short], [name], to=TensorProto.FLOAT))
    for tensor in graph.initializer:
        if len(tensor.raw_data) >= LARGE and (offset := weights.find(tensor.raw_data)) >= 0:
            set_external_data(tensor, WEIGHTS, offset, len(tensor.raw_data))
            tensor.ClearField("raw_data")
    onnx.save(network, path)


def compare(ours: Model, theirs: Model, steps: int = 64) -> float:
    """Mean total variation between two models' chances of the next codes, along the same random codes; 0 is equal, 1 has nothing in common."""
    rng, books = np.random.default_rng(0), ours.prior_config.codebooks
    asked = ask(Prompt("calm, 80 bpm, in D minor"))
    memories = [(model.steps(1), model.condition(asked.conditions)) for model in (ours, theirs)]
    codes, differences = np.full((1, books), ours.prior_config.codes), []
    for position in range(steps):
        sheet = asked.sheet.at((position + np.array(ours.prior_config.around)) * 80 / 60 / ours.codec_config.frame_rate)[None]
        chances = [_softmax(np.asarray(memory.step(codes, told, sheet, np.array([position])))) for memory, told in memories]
        differences.append(0.5 * np.abs(chances[0] - chances[1]).sum(axis=-1).mean())
        codes = rng.integers(ours.prior_config.codes, size=(1, books))
    return float(np.mean(differences))


def _softmax(logits: Any) -> Any:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
