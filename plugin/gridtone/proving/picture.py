"""States over time, drawn as SVG: a row a day, and below it the other rules, if there are two."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from gridtone.proving.timeline import Timeline
from gridtone.rules.standing import NO_DATA, NO_STATE

DAY = 86400.0
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
    first_day = start // DAY * DAY
    days = int((end - first_day) // DAY) + 1
    colours = _colours([timeline for _, timeline in timelines])
    height_of_day = ROW * len(timelines) + GAP
    body = []
    for day in range(days):
        date = datetime.fromtimestamp(first_day + day * DAY, UTC)
        body.append(_text(4, TOP + day * height_of_day + ROW - 3, f"{date:%a %Y-%m-%d}"))
    for row, (name, timeline) in enumerate(timelines):
        for stretch in timeline.stretches:
            said = f"{name}: {stretch.state} from {_clock(stretch.start)} to {_clock(stretch.end)}: {stretch.reason['en']}"
            title = f"<title>{escape(said)}</title>"
            for day in range(int((stretch.start - first_day) // DAY), int((stretch.end - first_day) // DAY) + 1):
                midnight = first_day + day * DAY
                x, until = (LEFT + (min(max(t - midnight, 0.0), DAY)) / DAY * (WIDTH - LEFT) for t in (stretch.start, stretch.end))
                y = TOP + day * height_of_day + row * ROW
                if until > x:
                    body.append(
                        f'<rect x="{x:.2f}" y="{y}" width="{max(until - x, 0.3):.2f}" height="{ROW - 1}" fill="{colours[stretch.state]}">{title}</rect>'
                    )
    body += [_text(LEFT + hour / 24 * (WIDTH - LEFT), TOP - 6, f"{hour:02d}:00") for hour in range(0, 24, 3)]
    below = TOP + days * height_of_day + 20
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
