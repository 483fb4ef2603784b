"""An install without a network: pip takes from the folder what was locked, and nothing else."""

import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

locked = runpy.run_path(str(Path(__file__).parents[2] / "tools/lock_wheels.py"))["locked"]


def wheel(folder: Path, name: str, content: str) -> Path:
    """A package of one module."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    parts = {
        f"{name}.py": content,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-1.0.dist-info/RECORD"
    parts[record] = "".join(f"{part},,\n" for part in (*parts, record))
    with zipfile.ZipFile(file, "w") as archive:
        for part, text in parts.items():
            archive.writestr(part, text)
    return file


def install(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    where = ["--no-index", "--find-links", str(folder), "--require-hashes", "--requirement", str(folder / "gridtone.lock"), "--target", str(target)]
    return subprocess.run([sys.executable, "-m", "pip", "install", "--no-cache-dir", *where], capture_output=True, text=True, timeout=200)


def test_what_was_locked_is_installed_and_what_was_changed_since_is_refused(tmp_path: Path):
    folder = tmp_path / "offline"
    folder.mkdir()
    for name in ("one_thing", "another"):
        wheel(folder, name, "value = 1\n")
    (folder / "gridtone.lock").write_text(locked(folder))
    done = install(folder, tmp_path / "good")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "good/one_thing.py").exists() and (tmp_path / "good/another.py").exists()
    wheel(folder, "another", "value = 2\n")
    refused = install(folder, tmp_path / "bad")
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / "bad/another.py").exists()


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no wheels there"):
        locked(tmp_path)
    wheel(tmp_path, "one", "")
    (tmp_path / "one-2.0-py3-none-any.whl").touch()
    with pytest.raises(ValueError, match="two wheels of one"):
        locked(tmp_path)
