"""Lines over a growing base, both axes logarithmic, as an SVG that reads on light and dark pages. Pure, no library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 930, 440, 70, 50, 350, 50
COLOURS = ("#64748b", "#0f766e", "#b45309", "#1d4ed8", "#be185d", "#6d28d9", "#15803d", "#111827")
Points = Sequence[tuple[float, float]]


def draw(title: str, across: str, lines: Mapping[str, Points]) -> str:
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    left, right = _decades(xs)
    low, high = _decades(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        along = (math.log10(x) - left) / max(right - left, 1)
        up = (math.log10(y) - low) / max(high - low, 1)
        return round(LEFT + along * wide, 1), round(HEIGHT - BOTTOM - up * tall, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="28" font-size="16" fill="#0f172a">{escape(title)}</text>',
    ]
    for decade in range(low, high + 1):
        _, y = place(10.0**left, 10.0**decade)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#e2e8f0"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#475569">{10.0**decade:g}</text>'
        )
    for decade in range(left, right + 1):
        x, _ = place(10.0**decade, 10.0**low)
        parts.append(f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}" stroke="#e2e8f0"/>')
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#475569">{10**decade:,}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end" fill="#475569">{escape(across)}</text>'
    )
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        spots = [place(x, y) for x, y in points]
        path = " ".join(f"{x},{y}" for x, y in spots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in spots]
        row, last = TOP + 12 + number * 24, f"{points[-1][1]:.3g}" if points else ""
        parts.append(f'<rect x="{WIDTH - RIGHT + 24}" y="{row - 9}" width="14" height="4" fill="{colour}"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT + 46}" y="{row}" fill="#0f172a">{escape(name)} ({last})</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
