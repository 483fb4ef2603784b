"""Levels in bands, drawn as SVG: the alarm as bars, what masks it as steps."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 300, 54, 10, 30
STEP_DB = 10
SPAN_DB = 70
"""Of the vertical axis."""

Line = tuple[Sequence[float], str, float, str]
"""Levels, colour, width, dashes."""


def chart(title: str, bands_hz: Sequence[int], alarm_db: Sequence[float], counts: Sequence[bool], lines: Sequence[Line], unit: str) -> str:
    """`lines` are drawn in their order, the last one on top. Whatever lies below the chart is cut at its foot."""
    top = STEP_DB * (int(max(max(levels) for levels in (alarm_db, *(line[0] for line in lines))) // STEP_DB) + 1)
    wide = (WIDTH - LEFT) / len(bands_hz)
    plot = HEIGHT - TOP - BOTTOM

    def y(level: float) -> float:
        return TOP + plot * min(max((top - level) / SPAN_DB, 0.0), 1.0)

    parts = [
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="#eef2f5"/>'
        '<rect width="1.2" height="5" fill="#9db2c2"/></pattern>',
    ]
    for tick in range(top - SPAN_DB, top + 1, STEP_DB):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 6:.1f}" text-anchor="end">{tick}</text>')
    for number, (hz, level, counted) in enumerate(zip(bands_hz, alarm_db, counts, strict=True)):
        x = LEFT + number * wide
        fill = "#8fb3cc" if counted else "url(#hatch)"
        parts.append(f'<rect x="{x + wide * 0.12:.1f}" y="{y(level):.1f}" width="{wide * 0.76:.1f}" height="{HEIGHT - BOTTOM - y(level):.1f}" fill="{fill}"/>')
        if len(bands_hz) < 12 or number % 3 == 1:  # the octaves' centres
            parts.append(f'<text x="{x + wide / 2:.1f}" y="{HEIGHT - BOTTOM + 21}" text-anchor="middle">{hz}</text>')
    for levels, colour, width, dashes in lines:
        steps = " ".join(f"{LEFT + (number + edge) * wide:.1f},{y(level):.1f}" for number, level in enumerate(levels) for edge in (0, 1))
        parts.append(f'<polyline points="{steps}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>')
    parts.append(f'<text x="{LEFT + 6}" y="{TOP + 16}">{escape(unit)}</text></svg>')
    return "".join(parts)
