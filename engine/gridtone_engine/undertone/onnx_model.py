"""Codec and prior run by onnxruntime: 20 MB instead of torch, and as fast on a CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gridtone_engine.engine import EngineError
from gridtone_engine.undertone.conditions import Conditions
from gridtone_engine.undertone.configs import LONGEST_WAVE, PriorConfig, read_shapes
from gridtone_engine.undertone.generate import Codes, Doubles, Floats, choose, guided
from gridtone_engine.undertone.synthesis import Synthesis, levels_of

FILES = ("condition.onnx", "step.onnx", "encode.onnx", "decode.onnx")
Network = Callable[..., list[NDArray[Any]]]


class OnnxSteps:
    """The last `window` keys and values of every row, in a ring that is made once."""

    def __init__(self, step: Network, config: PriorConfig, rows: int) -> None:
        self._step, self._head_width = step, config.width // config.heads
        self._keys = np.zeros((config.depth, rows, config.heads, config.window, self._head_width), np.float32)
        self._values = np.zeros_like(self._keys)
        self._rows, self._places = np.arange(rows), np.arange(config.window)
        self._rates = LONGEST_WAVE ** (-np.arange(0, self._head_width, 2) / self._head_width)

    def step(self, codes: Codes, condition: Floats, sheets: Floats, positions: Codes) -> Floats:
        angles = positions[:, None, None, None] * self._rates
        mask = np.where(self._places < positions[:, None], 0, -np.inf).astype(np.float32)
        told = (codes, condition, sheets, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32))
        logits, keys, values = self._step(*told, self._keys, self._values, mask)
        place = positions % self._keys.shape[3]
        self._keys[:, self._rows, :, place] = keys.swapaxes(0, 1)
        self._values[:, self._rows, :, place] = values.swapaxes(0, 1)
        return np.asarray(logits, np.float32)

    def choose(self, logits: Floats, pushes: Doubles, temperatures: Doubles, draws: Doubles, top_p: float) -> Codes:
        return choose(guided(logits, pushes, temperatures), draws, top_p)


class OnnxModel:
    tracks_at_once = 1

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Raises EngineError if a file is missing or cannot be read."""
        self.codec_config, self.prior_config = read_shapes(folder)
        self._condition, self._step, self._encode, self._decode = (open_network(folder / name, threads) for name in FILES)

    def encode(self, audio: Floats) -> Codes:
        [codes] = self._encode(levels_of(audio, self.codec_config))
        return np.asarray(codes, np.int64)

    def decode(self, codes: Codes) -> Floats:
        [levels] = self._decode(np.ascontiguousarray(codes))
        return np.asarray(levels, np.float32)

    def condition(self, asked: Conditions) -> Floats:
        [told] = self._condition(*asked.parts)
        return np.asarray(told, np.float32)

    def steps(self, rows: int) -> OnnxSteps:
        return OnnxSteps(self._step, self.prior_config, rows)

    def synthesis(self, tracks: int) -> Synthesis:
        return Synthesis(self.codec_config, tracks)


def open_network(path: Path, threads: int) -> Network:
    """A network as a function of its inputs, in order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # it warns of any number of rows but the two that the networks were written with
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no base class of its own for what goes wrong with a file
        raise EngineError(f"undertone: {path} cannot be opened: {error}") from error
    names = [entry.name for entry in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))
