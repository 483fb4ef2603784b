"""The hand-over from the thread that receives readings to the thread that reads `batches()`, and the tally of what happened on the way."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterator

from gridtone_adapters.adapter import Health, Rejected
from gridtone_adapters.reading import Reading

BATCH_LIMIT = 10_000
"""Readings in one batch, at most."""
SAMPLES_KEPT = 20
SAMPLE_CHARACTERS = 120

log = logging.getLogger(__name__)


class Intake:
    """A bounded queue of readings for one writer and one reader, with counts."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.received = 0
        self.dropped = 0
        self.closed = threading.Event()
        self._limit = limit
        self._queue: deque[Reading] = deque()
        self._arrived = threading.Event()
        self._room = threading.Event()
        self._rejected: Counter[str] = Counter()
        self._samples: deque[Rejected] = deque(maxlen=SAMPLES_KEPT)

    def add(self, reading: Reading) -> None:
        """Queue a reading; when the queue is full the oldest one gives way and is counted. Call `wake` after the last of a burst."""
        queue = self._queue
        self.received += 1
        if len(queue) >= self._limit:
            try:
                queue.popleft()
                self.dropped += 1
            except IndexError:
                pass  # the reader emptied it just now
        queue.append(reading)

    def add_all(self, readings: list[Reading]) -> None:
        """Queue readings and wake the reader; while the queue is full, wait: for sources that keep what has not been asked for."""
        for start in range(0, len(readings), BATCH_LIMIT):
            while len(self._queue) >= self._limit and not self.closed.is_set():
                self._room.wait(0.5)
                self._room.clear()
            part = readings[start : start + BATCH_LIMIT]
            self.received += len(part)
            self._queue.extend(part)
            self._arrived.set()

    def wake(self) -> None:
        """Tell the reader that there is something to read."""
        self._arrived.set()

    def reject(self, reason: str, source: str, content: object) -> None:
        """Count a message that could not become a reading, keep its start as a sample, and log the 1st, 10th, 100th ... of each reason."""
        self._rejected[reason] += 1
        count = self._rejected[reason]
        rejected = Rejected(reason, printable(source), printable(content))
        self._samples.append(rejected)
        if count == 10 ** (len(str(count)) - 1):
            log.warning("%s: refused %s: %s (%d so far): %s", self.name, rejected.source, reason, count, rejected.sample)

    def batches(self) -> Iterator[list[Reading]]:
        """Yield what is queued, in order, until `close`."""
        queue = self._queue
        while not self.closed.is_set():
            if not queue:
                self._arrived.wait()
                self._arrived.clear()
                continue
            batch = [queue.popleft() for _ in range(min(len(queue), BATCH_LIMIT, self._limit - 1))]  # one stays for `add` to drop
            self._room.set()
            yield batch

    def close(self) -> None:
        self.closed.set()
        self._arrived.set()
        self._room.set()

    def health(self, connected: bool, problem: str) -> Health:
        return Health(self.name, connected, problem, self.received, self.dropped, dict(self._rejected), tuple(self._samples))


def printable(content: object) -> str:
    """The start of anything, on one line, without control characters."""
    if isinstance(content, bytes | bytearray | memoryview):
        text = bytes(content[: SAMPLE_CHARACTERS + 1]).decode("utf-8", "backslashreplace")
    else:
        text = content if isinstance(content, str) else repr(content)
    cut = text[:SAMPLE_CHARACTERS] + ("…" if len(text) > SAMPLE_CHARACTERS else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
