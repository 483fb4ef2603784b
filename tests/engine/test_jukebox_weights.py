"""Weights on disk: fetched with resumption, read without running anything, converted once, loaded again."""

import hashlib
import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn

from gridtone_engine import EngineError
from gridtone_engine.jukebox import cli, downloads, weights
from gridtone_engine.jukebox.checkpoints import HUGGING_FACE, OPENAI, CheckpointError, Layout, foreign_names
from gridtone_engine.jukebox.configs import LICENCE, MODELS, JukeboxConfig, tiny
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.vqvae import VQVAE

CPU = torch.device("cpu")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> JukeboxConfig:
    """1b_lyrics, published in miniature."""
    model = tiny(MODELS["1b_lyrics"])
    monkeypatch.setitem(MODELS, "1b_lyrics", model)
    return model


def their_weights(module: Prior | VQVAE, layout: Layout) -> dict[str, Tensor]:
    names = foreign_names(module, layout)
    theirs = {names[ours]: tensor.T.clone() if layout.transposed.search(names[ours]) else tensor for ours, tensor in module.state_dict().items()}
    if isinstance(module, Prior) and module.output is None:
        theirs[layout.tied_output] = module.embedding.weight.detach()
    return theirs


def random_parts(model: JukeboxConfig) -> dict[str, Prior | VQVAE]:
    parts: dict[str, Prior | VQVAE] = {"vqvae": VQVAE(model.vqvae), **{prior.name: Prior(prior) for prior in model.priors}}
    for part in parts.values():
        for tensor in part.state_dict().values():
            tensor.normal_()
    return parts


def publish(folder: Path, model: JukeboxConfig) -> dict[str, Prior | VQVAE]:
    """Write a folder as OpenAI has it."""
    parts = random_parts(model)
    for directory in ("5b", "1b_lyrics"):
        (folder / directory).mkdir(parents=True)
    for path, name in [
        ("5b/vqvae", "vqvae"),
        ("5b/prior_level_0", "upsampler_0"),
        ("5b/prior_level_1", "upsampler_1"),
        ("1b_lyrics/prior_level_2", "1b_lyrics"),
    ]:
        content = {f"module.{key}": tensor for key, tensor in their_weights(parts[name], OPENAI).items()}
        torch.save({"model": content, "step": 7}, folder / f"{path}.pth.tar", _use_new_zipfile_serialization=False)  # as in 2020
    for version in ("v2", "v3"):
        (folder / f"{version}_artist_ids.txt").write_text("unknown;0\nthe; who;3\n", "utf-8")
        (folder / f"{version}_genre_ids.txt").write_text("unknown;0\nambient;4\n", "utf-8")
    return parts


def same_weights(module: nn.Module, other: nn.Module, dtype: torch.dtype) -> bool:
    return all(torch.equal(a, b.to(dtype)) for a, b in zip(module.state_dict().values(), other.state_dict().values(), strict=True))


def test_openais_files_are_converted_once_and_loaded(model: JukeboxConfig, tmp_path: Path) -> None:
    parts = publish(tmp_path / "published", model)
    folder = tmp_path / "models"
    weights.convert_openai("1b_lyrics", tmp_path / "published", folder)
    times = {file: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}
    weights.convert_openai("1b_lyrics", tmp_path / "published", folder)
    assert times == {file: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}

    loaded = weights.load_model("1b_lyrics", folder, CPU, torch.float16)
    assert same_weights(loaded.vqvae, parts["vqvae"], torch.float32)
    assert all(same_weights(loaded.prior(level), parts[model.priors[level].name], torch.float16) for level in range(3))
    assert loaded.prior(2).positions.dtype == torch.float16
    assert loaded.label_sets["v2"].artists == {"unknown": 0, "the; who": 3}


def test_hugging_faces_copy_is_the_same_model(model: JukeboxConfig, tmp_path: Path) -> None:
    source, folder = tmp_path / "hub", tmp_path / "models"
    source.mkdir()
    folder.mkdir()
    parts = random_parts(model)
    weights_of_all = {f"vqvae.{key}": tensor for key, tensor in their_weights(parts["vqvae"], HUGGING_FACE).items()}
    for prior in model.priors:
        weights_of_all |= {f"priors.{2 - prior.level}.{key}": tensor for key, tensor in their_weights(parts[prior.name], HUGGING_FACE).items()}
    torch.save(weights_of_all, source / "pytorch_model.bin")
    (source / "artists.json").write_text('{"unknown": 0, "queen": 1, "queen.v2": 2}', "utf-8")
    (source / "genres.json").write_text('{"ambient": 5, "ambient.v2": 6}', "utf-8")
    weights.convert_hugging_face("1b_lyrics", source, folder, torch.float32)
    loaded = weights.load_model("1b_lyrics", folder, CPU, torch.float32)
    assert all(same_weights(loaded.prior(level), parts[model.priors[level].name], torch.float32) for level in range(3))
    assert loaded.label_sets["v3"].artists == {"unknown": 0, "queen": 1}
    assert loaded.label_sets["v2"].genres == {"ambient": 6}


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was executed')",)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pth.tar"
    torch.save({"model": {"w": torch.zeros(1)}, "surprise": Bomb()}, bomb)
    with pytest.raises(CheckpointError, match=r"bomb\.pth\.tar is not a file of weights"):
        weights.read_checkpoint(bomb)
    bomb.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(CheckpointError, match="is not a file of weights"):
        weights.read_checkpoint(bomb)
    bomb.write_bytes(b"")
    with pytest.raises(CheckpointError, match="not fetched whole"):
        weights.read_checkpoint(bomb)


def test_what_is_missing_is_named(model: JukeboxConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lacks vqvae\.safetensors, .*gridtone model get 1b_lyrics"):
        weights.load_model("1b_lyrics", tmp_path, CPU, torch.float32)
    with pytest.raises(CheckpointError, match="no model is called '2b'"):
        weights.describe("2b", tmp_path)
    (tmp_path / "2b.json").write_text('{"licence": "CC0-1.0"}', "utf-8")
    with pytest.raises(CheckpointError, match=r"2b\.json does not describe a model"):
        weights.describe("2b", tmp_path)


@dataclass
class Server:
    """A file server with ranges that can be told to hang up early."""

    files: dict[str, bytes] = field(default_factory=dict)
    hang_up_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off."""
    asked: list[str] = field(default_factory=list)
    """The Range header of every request, or ''."""
    ranges: bool = True
    port: int = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            content = state.files.get(self.path.strip("/"))
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range") == tag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", tag)
            self.end_headers()
            rest = content[start:]
            self.wfile.write(rest[: state.hang_up_after.pop(0)] if state.hang_up_after else rest)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = httpd.server_port
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


CONTENT = bytes(range(256)) * 10_000


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.files["weights"] = CONTENT
    server.hang_up_after = [1_000_000, 500_000]
    heard: list[tuple[int, int | None]] = []
    downloads.fetch(server.url("weights"), tmp_path / "weights", lambda done, total: heard.append((done, total)))
    assert (tmp_path / "weights").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000000-", "bytes=1500000-"]
    assert heard[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weights"]


def test_an_interrupted_call_is_taken_up_by_the_next(server: Server, tmp_path: Path) -> None:
    server.files["weights"] = CONTENT
    server.hang_up_after = [1_000_000]
    with pytest.raises(downloads.DownloadError, match="is kept, call again"):
        downloads.fetch(server.url("weights"), tmp_path / "weights", attempts=1)
    downloads.fetch(server.url("weights"), tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000000-"


@pytest.mark.parametrize("ranges", [True, False])
def test_parts_of_different_files_are_never_joined(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    server.files["weights"] = CONTENT
    server.hang_up_after = [1_000_000]
    with pytest.raises(downloads.DownloadError):
        downloads.fetch(server.url("weights"), tmp_path / "weights", attempts=1)
    server.files["weights"] = CONTENT[::-1]
    downloads.fetch(server.url("weights"), tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == CONTENT[::-1]


def test_a_refusal_is_said_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(downloads.DownloadError, match="the server answers 404"):
        downloads.fetch(server.url("nothing"), tmp_path / "weights")
    assert len(server.asked) == 1


def test_get_list_verify(model: JukeboxConfig, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "elsewhere"
    publish(published, model)
    server.files = {str(path.relative_to(published)): path.read_bytes() for path in published.rglob("*") if path.is_file()}
    monkeypatch.setattr(downloads, "WEIGHTS", server.url(""))
    monkeypatch.setattr(downloads, "LABEL_SETS", server.url(""))
    run, folder = CliRunner(), tmp_path / "models"

    refused = run.invoke(cli.model, ["get", "1b_lyrics", "--folder", str(folder)])
    assert isinstance(refused.exception, EngineError)
    assert LICENCE in str(refused.exception)
    assert not server.asked
    assert "1b_lyrics    not fetched  OpenAI Jukebox Noncommercial Use License" in run.invoke(cli.model, ["list", "--folder", str(folder)]).output

    accepted = ["--accept-licence", LICENCE, "--folder", str(folder)]
    assert run.invoke(cli.model, ["get", "1b_lyrics", *accepted]).exception is None
    assert len(server.asked) == 8
    assert run.invoke(cli.model, ["get", "1b_lyrics", *accepted]).exception is None
    assert len(server.asked) == 8, "what is there is not fetched again"
    assert "1b_lyrics    here" in run.invoke(cli.model, ["list", "--folder", str(folder)]).output
    assert "8 fetched files are as recorded, 4 converted ones open" in run.invoke(cli.model, ["verify", "--folder", str(folder)]).output
    assert downloads.recorded(folder / "published")["5b/vqvae.pth.tar"] == hashlib.sha256(server.files["5b/vqvae.pth.tar"]).hexdigest()

    (folder / "published" / "v2_genre_ids.txt").write_text("altered", "utf-8")
    (folder / "vqvae.safetensors").write_bytes(b"altered")
    verified = run.invoke(cli.model, ["verify", "--folder", str(folder)])
    assert isinstance(verified.exception, EngineError)
    assert "v2_genre_ids.txt: not the file that was recorded" in verified.output
    assert "vqvae.safetensors: damaged" in verified.output


def test_get_from_a_local_folder(model: JukeboxConfig, tmp_path: Path) -> None:
    publish(tmp_path / "published", model)
    arguments = ["get", "1b_lyrics", "--from", str(tmp_path / "published"), "--accept-licence", LICENCE, "--folder", str(tmp_path / "m"), "--dtype", "float32"]
    assert CliRunner().invoke(cli.model, arguments).exception is None
    assert load_file(tmp_path / "m" / "1b_lyrics.safetensors")["positions"].dtype == torch.float32
