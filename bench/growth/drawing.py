"""The curves as one SVG: a panel for each, with logarithmic axes and a line of exponent 1."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.growth.curve import Curve

WIDTH, HEIGHT, COLUMNS = 300, 220, 3
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 44, 40
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.small { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
.one { stroke: #8c959f; stroke-width: 1.2; stroke-dasharray: 4 4 }
.curve { fill: none; stroke: #0969da; stroke-width: 2 }
.dot { fill: #0969da }
.back { fill: #ffffff }
"""


def drawn(curves: Sequence[Curve], titles: Sequence[str], units: Sequence[str]) -> str:
    """Return the picture; a title and a unit of CPU time for each curve."""
    rows = math.ceil(len(curves) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="How cost grows">',
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{width}" height="{height}"/>',
    ]
    for number, (curve, title, unit) in enumerate(zip(curves, titles, units, strict=True)):
        x, y = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(curve, title, unit)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """One logarithmic axis: from values to places."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high = min(values), max(values)
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._begin + share * (self._end - self._begin)


def _panel(curve: Curve, title: str, unit: str) -> Iterator[str]:
    points = curve.points
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    costs = [p.cpu_s for p in points]
    # a decade at least, so that what is flat looks flat
    low, high = min(costs), max(costs)
    spare = max(0.0, 1 - math.log10(high / low)) / 2
    across = _Scale([p.count for p in points], LEFT, right)
    up = _Scale([low / 10**spare / 1.2, high * 10**spare * 1.2], bottom, TOP)
    yield f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>'
    yield (
        f'<text class="small" x="{LEFT}" y="34">{escape(unit)}, exponent '
        f"{curve.exponent:.2f}</text>"
    )
    for value in _ticks(up.low, up.high):
        y = up(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield (
            f'<text class="small" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for point in points:
        yield (
            f'<text class="small" x="{across(point.count):.1f}" y="{bottom + 16}" '
            f'text-anchor="middle">{_short(point.count)}</text>'
        )
    yield _line_of_one(curve, across, up)
    places = " ".join(f"{across(p.count):.1f},{up(p.cpu_s):.1f}" for p in points)
    yield f'<polyline class="curve" points="{places}"/>'
    for p in points:
        yield f'<circle class="dot" cx="{across(p.count):.1f}" cy="{up(p.cpu_s):.1f}" r="3"/>'


def _line_of_one(curve: Curve, across: _Scale, up: _Scale) -> str:
    """Return the line that cost would take through the last point if it grew as the count."""
    last = curve.points[-1]
    least = max(across.low, up.low * last.count / last.cpu_s)
    x1, y1 = across(least), up(last.cpu_s * least / last.count)
    x2, y2 = across(last.count), up(last.cpu_s)
    return f'<line class="one" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield 1, 2 and 5 times powers of ten between two values; of many the powers alone."""
    steps = (1, 2, 5) if high / low < 100 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            if low <= (value := step * 10.0**power) <= high:
                yield value


def _short(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return str(count)
