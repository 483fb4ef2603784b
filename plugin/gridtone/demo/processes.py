"""Starting the demo's helper processes so that they never outlive who started them."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def spawn(command: Sequence[str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own. On Linux it ends when the thread that called this ends, however that ends.

    Its output goes to the file `log`, or to ours if there is none.
    """
    output = log.open("wb") if log else None
    try:
        return subprocess.Popen(  # noqa: S603 - the callers' own commands
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    finally:
        if output:
            output.close()


def stop(process: subprocess.Popen[bytes], patience_seconds: float = 5.0) -> None:
    """End a process, politely first. It may have ended before."""
    process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
