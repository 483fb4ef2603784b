"""How often somebody may do something."""

import threading
import time
from collections import Counter
from collections.abc import Hashable


class Throttle:
    """At most `most` times in every window of `seconds`, for each key by itself. Safe to use from any thread; remembers one window."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ends = 0.0
        self._counts: Counter[Hashable] = Counter()

    def wait_seconds(self, key: Hashable) -> float:
        """Until `key` may come again; 0 while it may."""
        with self._lock:
            self._look_at_the_clock()
            return self._left(key, self._most - 1)

    def count(self, key: Hashable) -> float:
        """`key` comes; seconds until it may, 0 if it may now."""
        with self._lock:
            self._look_at_the_clock()
            self._counts[key] += 1
            return self._left(key, self._most)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self._ends:
            self._ends = now + self._seconds
            self._counts.clear()

    def _left(self, key: Hashable, most: int) -> float:
        return self._ends - time.monotonic() if self._counts[key] > most else 0.0
