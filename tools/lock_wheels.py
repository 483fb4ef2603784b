"""Writes `gridtone.lock` beside the wheels of a folder: every one of them with its version and SHA-256, for `pip install --require-hashes`.

python tools/lock_wheels.py dist/offline
"""

import hashlib
import sys
from pathlib import Path


def locked(folder: Path) -> str:
    """Raises ValueError for a folder without wheels, or with two versions of one package."""
    wheels = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version, *_ = wheel.name.split("-")
        if name in wheels:
            raise ValueError(f"{folder}: two wheels of {name}; empty the folder and make it again")
        wheels[name] = f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    if not wheels:
        raise ValueError(f"{folder}: no wheels there; make them with `make offline`")
    return "".join(wheels.values())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "gridtone.lock").write_text(locked(folder), encoding="utf-8")
    print(folder / "gridtone.lock")
