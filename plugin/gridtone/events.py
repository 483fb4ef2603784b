"""What listeners are told, in order, with the last few kept for those who missed some."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import Counter

PUBLISHED = Counter("gridtone_events", "Events published to listeners", ["kind"])

KEPT = 1000
"""Events kept for listeners that come back with a `Last-Event-ID`."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    id: int
    kind: str
    """`state`, `cue`, `alarms`, `stock`, `rules` or `adapters`."""
    payload: Any
    """Plain data, ready for JSON."""


class EventLog:
    """One writer side, many listeners. A listener that is slower than `KEPT` events misses the oldest of them, never blocks anyone."""

    def __init__(self, first_id: int = 1) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._bells: set[SimpleQueue[None]] = set()
        self._next_id = first_id
        self._closed = False

    @property
    def last_id(self) -> int:
        return self._next_id - 1

    def publish(self, kind: str, payload: Any) -> Event:
        with self._lock:
            event = Event(self._next_id, kind, payload)
            self._next_id += 1
            self._events.append(event)
            self._ring()
        PUBLISHED.labels(kind).inc()
        return event

    def close(self) -> None:
        """End every subscription."""
        with self._lock:
            self._closed = True
            self._ring()

    def subscribe(self, after_id: int, heartbeat_seconds: float) -> Iterator[Event | None]:
        """Yield the events after `after_id`, and None whenever `heartbeat_seconds` pass without one."""
        bell: SimpleQueue[None] = SimpleQueue()  # one a listener: hundreds that wake on one shared condition would queue for its lock
        with self._lock:
            self._bells.add(bell)
        try:
            while True:
                with self._lock:
                    missed = list(islice(reversed(self._events), self.last_id - after_id))[::-1]
                if missed:
                    after_id = missed[-1].id
                    yield from missed
                elif self._closed:
                    return
                else:
                    try:
                        bell.get(timeout=heartbeat_seconds)
                    except Empty:
                        yield None
        finally:
            with self._lock:
                self._bells.discard(bell)

    def _ring(self) -> None:
        for bell in self._bells:
            if bell.empty():
                bell.put(None)
