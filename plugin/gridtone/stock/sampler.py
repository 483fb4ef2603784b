"""The supervisor of the sampler process."""

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from typing import IO

import msgspec

from gridtone.stock.messages import Batch, Broken, Cancel, Done, FromSampler, Made, NotWritten, Progressed, Refused, Rejected, decode_from_sampler, encode
from gridtone.stock.settings import StockSettings

log = logging.getLogger(__name__)

SILENT_SECONDS = 60.0
"""A process that says nothing for this long is killed: its heartbeat comes every second."""
STOP_SECONDS = 3.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class SamplerDiedError(Exception):
    """The sampler process ended or had to be killed; the message says how."""


class Sampler:
    """One sampler process, started when there is something to sample. `sample` belongs to one thread, the rest to any."""

    def __init__(self, settings: StockSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: queue.SimpleQueue[FromSampler | None] = queue.SimpleQueue()
        self._last_words: deque[str] = deque(maxlen=5)
        self._lock = threading.Lock()
        self._cancelled_id: int | None = None
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """None while no process runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def sample(self, batch: Batch) -> Generator[Progressed | Made | Rejected | Broken | Refused | NotWritten, None, None]:
        """Have `batch` made, and yield what comes of it as it comes.

        Raises SamplerDiedError; the next call starts another process. So does a call after one whose generator was closed early.
        """
        done = False
        try:
            self._begin(batch)
            yield from self._hear()
            done = True
        finally:
            if not done:
                self.kill()

    def cancel(self, batch_id: int) -> None:
        """End that batch soon; what is finished by then is kept."""
        with self._lock:
            self._cancelled_id = batch_id
            if self.process_id is not None:
                self._tell(Cancel(batch_id))

    def stop(self) -> None:
        """End the process, which frees its memory."""
        process = self._process
        if process is None:
            return
        assert process.stdin
        try:
            process.stdin.close()
            process.wait(STOP_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill the process for good."""
        with self._lock:
            self._closed = True
            self.kill()

    def _hear(self) -> Iterator[Progressed | Made | Rejected | Broken | Refused | NotWritten]:
        """Messages of the running batch until it is done."""
        heard = progressed = time.monotonic()
        last: FromSampler | None = None
        while True:
            limit = min(heard + SILENT_SECONDS, progressed + self._settings.hang_seconds)
            try:
                message = self._messages.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                raise SamplerDiedError(f"made no progress for {time.monotonic() - progressed:.0f} s and was killed (stock.hang_seconds)") from None
            heard = time.monotonic()
            match message:
                case None:
                    raise SamplerDiedError(self._how_it_ended())
                case Done():
                    return
                case Progressed() | Made() | Rejected() | Broken() | Refused() | NotWritten():
                    if message != last:
                        progressed, last = heard, message
                    yield message

    def _begin(self, batch: Batch) -> None:
        with self._lock:
            if self._closed:
                raise SamplerDiedError("was closed")
            if self.process_id is None:
                self._start()
            self._tell(batch)
            if self._cancelled_id == batch.id:
                self._tell(Cancel(batch.id))

    def _start(self) -> None:
        command = [sys.executable, "-m", "gridtone.stock.worker"]
        if self._settings.memory_mib is not None:
            command.append(str(self._settings.memory_mib))
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(self._settings.threads))}
        process = subprocess.Popen(  # noqa: S603 (our own module)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the service
        )
        assert process.stdout and process.stderr
        self._process = process
        self._messages = queue.SimpleQueue()
        self._last_words = deque(maxlen=5)
        threading.Thread(target=_read, args=(process.stdout, self._messages), name="sampler messages", daemon=True).start()
        threading.Thread(target=_log, args=(process.stderr, self._last_words), name="sampler log", daemon=True).start()

    def _tell(self, message: Batch | Cancel) -> None:
        assert self._process and self._process.stdin
        try:
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            log.debug("the sampler process is gone, as the end of its messages says too")

    def _how_it_ended(self) -> str:
        assert self._process
        status = self._process.wait()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = " (out of memory?)" if status == -9 else ""
        return f"{how}{hint}: {self._last_words[-1]}" if self._last_words else how + hint


def _read(output: IO[bytes], messages: "queue.SimpleQueue[FromSampler | None]") -> None:
    with output:
        try:
            for line in output:
                messages.put(decode_from_sampler(line))
        except msgspec.DecodeError:
            log.exception("the sampler process does not speak our language")
    messages.put(None)


def _log(errors: IO[bytes], last_words: "deque[str]") -> None:
    with errors:
        for line in errors:
            text = line.decode(errors="replace").rstrip()
            last_words.append(text)
            log.info("sampler: %s", text)
