"""States over time, drawn as SVG: a row a day, or an hour where there are few, and below it the other rules, if there are two."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from gridtone.proving.timeline import Timeline
from gridtone.rules.standing import NO_DATA, NO_STATE

HOUR, DAY = 3600.0, 86400.0
HOURS_IN_ROWS = 6
"""Up to so many hours are drawn in rows of an hour each."""
WIDTH, LEFT, TOP, ROW, GAP = 1200, 100, 30, 14, 4
SHADES = {
    "normal": ("#7aa6c2", "#4d7f9e", "#a9c9dc", "#2f5d7a", "#cfe1ec"),
    "restorative": ("#6fae7d",),
    "alert": ("#e3b341", "#c7921c"),
    "emergency": ("#d9622b", "#b3471a"),
    "in_extremis": ("#9b1c31",),
}
NOTHING = {NO_DATA: "#d0d0d0", NO_STATE: "#e8e8e8"}


def draw(timelines: Sequence[tuple[str, Timeline]]) -> str:
    """An SVG document of timelines with their names, one or two of them."""
    start, end = timelines[0][1].stretches[0].start, timelines[0][1].stretches[-1].end
    span = HOUR if end - start <= HOURS_IN_ROWS * HOUR else DAY
    first = start // span * span
    rows = int((end - first) // span) + 1
    colours = _colours([timeline for _, timeline in timelines])
    height_of_row = ROW * len(timelines) + GAP
    body = []
    for row in range(rows):
        began = datetime.fromtimestamp(first + row * span, UTC)
        body.append(_text(4, TOP + row * height_of_row + ROW - 3, f"{began:%a %Y-%m-%d}" if span == DAY else f"{began:%m-%d %H:%M}"))
    for strip, (name, timeline) in enumerate(timelines):
        for stretch in timeline.stretches:
            said = f"{name}: {stretch.state} from {_clock(stretch.start)} to {_clock(stretch.end)}: {stretch.reason['en']}"
            title = f"<title>{escape(said)}</title>"
            for row in range(int((stretch.start - first) // span), int((stretch.end - first) // span) + 1):
                x, until = (LEFT + min(max(time - first - row * span, 0.0), span) / span * (WIDTH - LEFT) for time in (stretch.start, stretch.end))
                y = TOP + row * height_of_row + strip * ROW
                if until > x:
                    body.append(
                        f'<rect x="{x:.2f}" y="{y}" width="{max(until - x, 0.3):.2f}" height="{ROW - 1}" fill="{colours[stretch.state]}">{title}</rect>'
                    )
    ticks = [f"{hour:02d}:00" for hour in range(0, 24, 3)] if span == DAY else [f":{minute:02d}" for minute in range(0, 60, 10)]
    body += [_text(LEFT + number / len(ticks) * (WIDTH - LEFT), TOP - 6, tick) for number, tick in enumerate(ticks)]
    below = TOP + rows * height_of_row + 20
    legend, x, y = [], LEFT, below
    for state, colour in colours.items():
        width = 30 + 7 * len(state)
        if x + width > WIDTH:
            x, y = LEFT, y + 20
        legend += [f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>', _text(x + 16, y, state)]
        x += width
    if len(timelines) > 1:
        legend.append(_text(LEFT, y + 20, f"above: {timelines[0][0]}; below: {timelines[1][0]}; times in UTC"))
    else:
        legend.append(_text(LEFT, y + 20, f"{timelines[0][0]}; times in UTC"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 30}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(body)}{"".join(legend)}</svg>\n'
    )


def _colours(timelines: Sequence[Timeline]) -> dict[str, str]:
    """A colour for every state that occurs, by severity."""
    used: dict[str, int] = {}
    colours: dict[str, str] = {}
    for timeline in timelines:
        for stretch in timeline.stretches:
            if stretch.state in colours:
                continue
            if stretch.state in NOTHING:
                colours[stretch.state] = NOTHING[stretch.state]
                continue
            severity = timeline.rules.states[stretch.state].severity
            shades = SHADES[severity]
            colours[stretch.state] = shades[used.get(severity, 0) % len(shades)]
            used[severity] = used.get(severity, 0) + 1
    return colours


def _clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#333">{escape(text)}</text>'
