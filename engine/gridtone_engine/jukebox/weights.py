"""Weights on disk: published files are read without executing anything in them, converted once to safetensors, and mapped into memory from there.

A model folder holds `vqvae.safetensors`, `upsampler_0.safetensors`, `upsampler_1.safetensors`, one `<model>.safetensors` for each top prior, and the
label sets `v2_artist_ids.txt`, `v2_genre_ids.txt`, `v3_...`. A model of one's own adds `<model>.json`: its configuration and its licence.
"""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gridtone_engine.jukebox.checkpoints import HUGGING_FACE, OPENAI, CheckpointError, translate
from gridtone_engine.jukebox.configs import LICENCE, MODELS, JukeboxConfig
from gridtone_engine.jukebox.labels import LabelSet
from gridtone_engine.jukebox.model import JukeboxModel
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.quantise import Kind, quantise
from gridtone_engine.jukebox.vqvae import VQVAE

Part = TypeVar("Part", Prior, VQVAE)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth.tar` or `.bin` file, read as weights only: a file with anything else in it is refused, not run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path} is not a file of weights, or was not fetched whole: {error}") from error
    weights: dict[str, Any] = content.get("model", content)
    return {name.removeprefix("module."): tensor for name, tensor in weights.items()}


def build(config: JukeboxConfig) -> dict[str, Prior | VQVAE]:
    """The parts of a model by the name of their file, without memory for their weights."""
    with torch.device("meta"):
        parts: dict[str, Prior | VQVAE] = {"vqvae": VQVAE(config.vqvae)}
        parts |= {prior.name: Prior(prior) for prior in config.priors}
    return parts


def convert_openai(name: str, source: Path, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Convert the model called `name` from OpenAI's files in `source`, which lie there as they are published: `5b/vqvae.pth.tar`, `v2_genre_ids.txt`.

    Parts that are in `folder` already are left as they are: models share the VQ-VAE and the upsamplers.
    """
    for part_name, part in build(MODELS[name]).items():
        file = folder / f"{part_name}.safetensors"
        if file.exists():
            continue
        if isinstance(part, VQVAE):
            published = source / "5b" / "vqvae.pth.tar"
        else:
            published = source / (name if part.config.level == MODELS[name].top.level else "5b") / f"prior_level_{part.config.level}.pth.tar"
        _save(translate(read_checkpoint(published), part, OPENAI), file, dtype)
    for label_file in MODELS[name].label_files:
        shutil.copyfile(source / label_file, folder / label_file)


def convert_hugging_face(name: str, source: Path, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Convert the model called `name` from Hugging Face's copy in `source`: `pytorch_model*.bin`, levels counted from the top, and the tokenizer's names."""
    weights = {key: tensor for file in sorted(source.glob("pytorch_model*.bin")) for key, tensor in read_checkpoint(file).items()}
    for part_name, part in build(MODELS[name]).items():
        prefix = "vqvae." if isinstance(part, VQVAE) else f"priors.{MODELS[name].top.level - part.config.level}."
        mine = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        _save(translate(mine, part, HUGGING_FACE), folder / f"{part_name}.safetensors", dtype)
    for kind in ("artist", "genre"):
        names: dict[str, int] = json.loads((source / f"{kind}s.json").read_text("utf-8"))
        v2 = {key.removesuffix(".v2"): number for key, number in names.items() if key.endswith(".v2")}
        v3 = {key: number for key, number in names.items() if not key.endswith(".v2")}
        for version, ids in (("v2", v2), ("v3", v3)):
            if f"{version}_{kind}_ids.txt" in MODELS[name].label_files:
                _write_ids(folder / f"{version}_{kind}_ids.txt", ids)


def save_model(model: JukeboxModel, folder: Path, licence: str) -> None:
    """Write a model of one's own, with the licence under which what it makes may be used."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    (folder / f"{config.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode({"licence": licence, "config": config})))
    _save(model.vqvae.state_dict(), folder / "vqvae.safetensors", torch.float32)
    for prior in config.priors:
        _save(model.prior(prior.level).state_dict(), folder / f"{prior.name}.safetensors", torch.float32)
    for version, labels in model.label_sets.items():
        for kind, ids in (("artist", labels.artists), ("genre", labels.genres)):
            _write_ids(folder / f"{version}_{kind}_ids.txt", ids)


def _write_ids(file: Path, ids: dict[str, int]) -> None:
    file.write_text("".join(f"{name};{number}\n" for name, number in ids.items()), "utf-8")


def _save(weights: dict[str, Tensor], file: Path, dtype: torch.dtype) -> None:
    """In one step, so that a file that exists is whole. The VQ-VAE keeps its 32 bits: codes turn on small differences."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    kept = torch.float32 if file.stem == "vqvae" else dtype
    save_file({name: tensor.to(kept).contiguous() for name, tensor in weights.items()}, partial, {"format": "pt"})
    partial.replace(file)


def describe(name: str, folder: Path) -> tuple[JukeboxConfig, str]:
    """Configuration and licence of the model called `name`: a published one, or one of one's own in `folder`."""
    own = folder / f"{name}.json"
    if own.exists():
        try:
            content = json.loads(own.read_text("utf-8"))
            return msgspec.convert(content["config"], JukeboxConfig), str(content["licence"])
        except (KeyError, ValueError, msgspec.ValidationError) as error:
            raise CheckpointError(f"{own} does not describe a model: {error}") from error
    if name not in MODELS:
        raise CheckpointError(f"no model is called {name!r}: {', '.join(MODELS)}, or one whose configuration is {own}")
    return MODELS[name], LICENCE


def load_model(name: str, folder: Path, device: torch.device, dtype: torch.dtype, quantised: Kind | None = None) -> JukeboxModel:
    """Open the model called `name` in `folder`; priors are loaded when they are needed. Raises CheckpointError if a file is missing or does not fit."""
    config, _ = describe(name, folder)
    parts = build(config)
    files = {part: folder / f"{part}.safetensors" for part in parts}
    missing = [file.name for file in (*files.values(), *(folder / name for name in config.label_files)) if not file.exists()]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)} for {name}: fetch them with `gridtone model get {name}`")

    def load_prior(level: int) -> Prior:
        with torch.device("meta"):
            prior = Prior(config.priors[level])
        _fill(prior, files[prior.config.name], device, dtype)
        return quantise(prior, quantised) if quantised else prior

    vqvae = VQVAE(config.vqvae)
    _fill(vqvae, files["vqvae"], device, torch.float32)
    versions = {prior.labels.version for prior in config.priors}
    labels = {version: LabelSet.read(version, folder / f"{version}_artist_ids.txt", folder / f"{version}_genre_ids.txt") for version in versions}
    return JukeboxModel(config, vqvae, load_prior, labels)


def _fill(part: Prior | VQVAE, file: Path, device: torch.device, dtype: torch.dtype) -> None:
    try:
        weights = load_file(file, device=str(device))
        part.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{file} does not hold the weights of this model: {error}") from error
    part.eval().requires_grad_(requires_grad=False)


def is_whole(file: Path) -> bool:
    """Whether a safetensors file can be opened."""
    try:
        with safe_open(file, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False
