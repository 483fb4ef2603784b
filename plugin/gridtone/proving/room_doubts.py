"""What a site asks of the room and will hardly get: moods that mask alarms, alarms that nobody delivers or vouches for."""

from collections.abc import Iterator

from gridtone.config import Site
from gridtone.documents import Wrong
from gridtone.proving.sources import may_deliver
from gridtone.room.settings import RoomSettings
from gridtone.rules import Rules
from gridtone_engine.text import understand

LEAST_SHARE, SHARE_PER_BRIGHTNESS = 0.5, 0.8
"""Of the composer's energy at brightness 0, so much lies between 200 and 5000 Hz, and so much more at 1. Measured; single tracks differ by 0.15."""


def masking_doubts(room: RoomSettings, rules: Rules) -> Iterator[Wrong]:
    """Moods of states close to an alarm whose tracks would mostly be refused. Places are those of the rules."""
    for name, state in rules.states.items():
        share = room.speech_band_share_max.get(state.severity)
        if state.prompt is None or share is None:
            continue
        brightness = understand(state.prompt.for_engine()).attributes.brightness
        most = max(0.0, (share - LEAST_SHARE) / SHARE_PER_BRIGHTNESS)
        if brightness is not None and brightness > most + 0.005:
            message = (
                f"`{name}` is {state.severity}, but at brightness {brightness:.2g} most tracks have more than {share:.0%} of their energy in 200 to 5000 Hz"
            )
            fix = f"at most {most:.2f} leaves room for alarms and speech (`room.speech_band_share_max`)"
            yield Wrong(message, fix, ("states", name, "prompt", "brightness"))


def alarm_doubts(site: Site) -> Iterator[Wrong]:
    """Alarms that stay unknown, or that nobody vouches for. Places are those of the site's file."""
    for number, source in enumerate(site.alarms.sources):
        place = ("alarms", "sources", number)
        patterns = source.patterns() | ({"heartbeat": source.heartbeat} if source.heartbeat else {})
        for key, pattern in patterns.items():
            if site.adapters and not any(may_deliver(adapter, pattern) for adapter in site.adapters):
                outcome = "so they stay unknown, and the music silent" if key in ("state", "active", "heartbeat") else "so it never counts"
                message = f"no adapter delivers `{pattern}` of the alarms `{source.name}`, {outcome}"
                yield Wrong(message, "check `point` of the adapters' topics and queries", (*place, key))
        if source.stale_after is None:
            message = f"nothing vouches for the alarms `{source.name}`: if what sends them dies behind a broker that lives, they look as quiet as on a good day"
            yield Wrong(message, "add a `heartbeat` with `stale_after`", place)
