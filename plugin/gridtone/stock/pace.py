"""How long tracks take to make, and what follows for how far ahead the stock must look."""

from gridtone.stock.settings import StockSettings

REAL_TIME = 1.0
"""Seconds of work for a second of music: what is assumed until a track was made."""
NEWEST_SHARE = 0.3
LEAST_HORIZON_SECONDS = 900.0


class Pace:
    """Measures the sampler's work. Belongs to one thread; reading a figure from another does no harm."""

    def __init__(self, work_seconds: float = REAL_TIME) -> None:
        """`work_seconds`: work for a second of music."""
        self._work_seconds = work_seconds
        self._since = 0.0

    def begin(self, now: float) -> None:
        """A batch begins."""
        self._since = now

    def made(self, track_seconds: float, now: float) -> None:
        """A track came in, the whole of its way: engine, gate, files."""
        self._work_seconds += NEWEST_SHARE * ((now - self._since) / track_seconds - self._work_seconds)
        self._since = now

    def track_seconds(self, settings: StockSettings) -> float:
        """Work for a track."""
        return self._work_seconds * settings.track_seconds

    def horizon_seconds(self, settings: StockSettings) -> float:
        """What is begun now is ready by then."""
        return max(LEAST_HORIZON_SECONDS, self.track_seconds(settings))

    def lead_hours(self, settings: StockSettings, states: int) -> float:
        """Tracks are replaced so long before they grow stale: the work for a whole stock, since all of it may grow stale at once."""
        whole_stock_hours = self.track_seconds(settings) * settings.per_state * states / 3600
        return min(whole_stock_hours, settings.fresh_hours / 2)
