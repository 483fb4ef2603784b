"""States close to an alarm leave room in the band where alarms and speech are heard."""

from gridtone.gate.limits import GateLimits
from gridtone.room.settings import RoomSettings
from gridtone.rules import Rules
from gridtone.rules.model import Severity


def limits_of(severity: Severity, room: RoomSettings, gate: GateLimits) -> GateLimits | None:
    """What the tracks of states of that severity must keep; None where the site's limits are enough."""
    share = room.speech_band_share_max.get(severity)
    if share is None or share >= _share(gate):
        return None
    return gate.model_copy(update={"speech_band_share_max": share})


def lenders(state: str, rules: Rules, room: RoomSettings) -> list[str]:
    """The states whose tracks may play in `state` while it has none: those that leave as much room."""

    def share(name: str) -> float:
        found = rules.states.get(name)
        return room.speech_band_share_max.get(found.severity, 1.0) if found else 1.0

    return [name for name in rules.states if share(name) <= share(state)]


def _share(gate: GateLimits) -> float:
    return 1.0 if gate.speech_band_share_max is None else gate.speech_band_share_max
