"""A process of its own for what takes seconds of computing or hundreds of megabytes, and may be killed. It ends when nobody has asked it for a while."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from gridtone.editing.views import HelperError

IDLE_SECONDS = 300.0
NICENESS = 10

P = ParamSpec("P")
T = TypeVar("T")


class Helper:
    """Calls functions in the process, one after the other. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: tuple[multiprocessing.context.SpawnProcess, Connection] | None = None
        self._idle = threading.Timer(0, self.close)

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
            self._idle = threading.Timer(IDLE_SECONDS, self.close)
            self._idle.daemon = True
            self._idle.start()
            self._lock.release()
        if not returned:
            raise found
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process; a later call starts another."""
        with self._lock:
            self._idle.cancel()
            self._kill()

    def _connection(self) -> Connection:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), name="rules helper", daemon=True)
            process.start()
            theirs.close()
            self._process = process, ours
        return self._process[1]

    def _kill(self) -> None:
        if self._process is not None:
            process, connection = self._process
            self._process = None
            connection.close()
            process.kill()
            process.join()


def _work(connection: Connection) -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything imports numpy
    os.nice(NICENESS)
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
