"""A process of its own for what takes seconds of computing or hundreds of megabytes, and may be killed. It ends when nobody has asked it for a while.

`python -m gridtone.editing.helper FD NICENESS` is that process; it talks over the inherited file descriptor and ends when the other side closes it.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from gridtone.editing.views import HelperError

IDLE_SECONDS = 300.0

P = ParamSpec("P")
T = TypeVar("T")


class Helper:
    """Calls functions in the process, one after the other. Safe to use from any thread."""

    def __init__(self, niceness: int) -> None:
        """`niceness` 0: somebody waits for every answer; 10: everything else comes first."""
        self._niceness = niceness
        self._lock = threading.Lock()
        self._process: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._idle = threading.Timer(0, self._rest)

    def call(self, seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises; it must be importable. Raises HelperError after `seconds`, or if the process dies."""
        if not self._lock.acquire(timeout=seconds):
            raise HelperError("others are waiting for it too")
        try:
            self._idle.cancel()
            connection = self._connection()
            try:
                connection.send((function, args, kwargs))
                if not connection.poll(seconds):
                    raise HelperError(f"it took more than {seconds:g} s")
                returned, found = connection.recv()
            except (EOFError, OSError) as error:
                raise HelperError("its process died (out of memory?)") from error
        except HelperError:
            self._kill()
            raise
        finally:
            self._idle = threading.Timer(IDLE_SECONDS, self._rest)
            self._idle.daemon = True
            self._idle.start()
            self._lock.release()
        if not returned:
            raise found
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process, and with it a call that waits for it."""
        if (running := self._process) is not None:
            running[0].kill()
        with self._lock:
            self._idle.cancel()
            self._kill()

    def _rest(self) -> None:
        """Nobody has asked for a while: a later call starts another process."""
        if self._lock.acquire(blocking=False):
            self._kill()
            self._lock.release()

    def _connection(self) -> Connection:
        if self._process is None:
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(  # noqa: S603 (our own module)
                    [sys.executable, "-m", "gridtone.editing.helper", str(theirs.fileno()), str(self._niceness)],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    start_new_session=True,  # Ctrl-C is for the service
                )
            self._process = process, ours
        return self._process[1]

    def _kill(self) -> None:
        if self._process is not None:
            process, connection = self._process
            self._process = None
            connection.close()
            process.kill()
            process.wait()


def _serve(connection: Connection) -> None:
    """Answer until the other end is closed."""
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            answer = True, function(*args, **kwargs)
        except Exception as error:
            answer = False, error
        connection.send(answer)


if __name__ == "__main__":
    os.nice(int(sys.argv[2]))
    _serve(Connection(int(sys.argv[1])))
