"""Server-sent events: what listeners are told, and a heartbeat while there is nothing to tell."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from flask import Response, request
from prometheus_client import Gauge

from gridtone.cue import at_desk
from gridtone.events import Event
from gridtone.server.answers import ApiError, Heartbeat, to_json
from gridtone.server.backend import Backend

HEARTBEAT_SECONDS = 2.0
RECONNECT_MILLISECONDS = 1500
LOOK_SECONDS = HEARTBEAT_SECONDS / 3
"""How often a stream without events sees whether its listener is still let in."""

KEPT = 16
"""Encoded events kept for those who are about to be told: a few at each desk."""

LISTENERS = Gauge("gridtone_listeners", "Event streams open now")


def refuse_stalled(backend: Backend) -> None:
    """A listener takes what it is told for a sign of life: a service that stands still tells nothing of the present. Raises ApiError."""
    if not backend.alive():
        raise ApiError(503, "stalled", "the service no longer watches the time", "restart it; its log says what happened last")


class Streams:
    """The open event streams of one application: at most `most` of them."""

    def __init__(self, backend: Backend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._places = threading.BoundedSemaphore(most)
        self._encode = lru_cache(maxsize=KEPT)(self._frame_at)

    def open(self, still: Callable[[], bool], desk: str | None = None) -> Response:
        """A stream for the current request, resumed after its `Last-Event-ID`, for as long as `still` holds.

        Raises ApiError 503 when all places are taken, or the service stands still.
        """
        refuse_stalled(self._backend)
        if not self._places.acquire(blocking=False):
            raise ApiError(
                503,
                "too_many_listeners",
                f"all {self._most} places for listeners are taken",
                "try again later, or raise server.max_listeners in the configuration",
            )
        LISTENERS.inc()
        response = Response(self._frames(still, desk), mimetype="text/event-stream")
        response.call_on_close(self._leave)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    def _leave(self) -> None:
        LISTENERS.dec()
        self._places.release()

    def _frames(self, still: Callable[[], bool], desk: str | None) -> Iterator[bytes]:
        events = self._backend.events
        last_id = events.last_id
        try:
            after_id = int(request.headers.get("Last-Event-ID", ""))
        except ValueError:
            after_id = last_id
        if not 0 <= after_id <= last_id:  # from another life of the service: the snapshot below is all there is to say
            after_id = last_id
        return self._follow(after_id, still, desk)

    def _follow(self, after_id: int, still: Callable[[], bool], desk: str | None) -> Iterator[bytes]:
        desks = self._backend.desks()
        yield b"retry: %d\n\n" % RECONNECT_MILLISECONDS + _frame("heartbeat", Heartbeat(time.time()), after_id)
        yield _frame("state", self._backend.standing()) + _frame("alarms", self._backend.alarms()) + _frame("cue", at_desk(self._backend.cue(), desk, desks))
        told_at = time.monotonic()
        for event in self._backend.events.subscribe(after_id, LOOK_SECONDS):
            if not self._backend.alive() or not still():
                return
            if event is not None:
                yield self._encode(event, desk)
            elif time.monotonic() > told_at + HEARTBEAT_SECONDS - LOOK_SECONDS / 2:
                yield _frame("heartbeat", Heartbeat(time.time()))
            else:
                continue
            told_at = time.monotonic()

    def _frame_at(self, event: Event, desk: str | None) -> bytes:
        """The event as a desk is told of it: encoded once, however many listen there."""
        payload = at_desk(event.payload, desk, self._backend.desks()) if event.kind == "cue" else event.payload
        return _frame(event.kind, payload, event.id)


def _frame(kind: str, payload: Any, event_id: int | None = None) -> bytes:
    head = b"" if event_id is None else b"id: %d\n" % event_id
    return head + b"event: %s\ndata: %s\n\n" % (kind.encode(), to_json(payload))
