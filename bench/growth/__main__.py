"""Measure, and write the page and the picture."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.growth.axes import AXES
from bench.growth.curve import LIMIT, Curve, Point, from_json
from bench.growth.written import files

KEPT = Path(__file__).with_name("measured.json")


def kept() -> list[Curve]:
    """Return what was measured last."""
    return [from_json(each) for each in json.loads(KEPT.read_text())["curves"]]


def measured(only: list[str]) -> list[Curve]:
    """Measure each axis; those that are not asked for are as they were."""
    fresh: dict[str, Curve] = {}
    for name, (measure, counts) in AXES.items():
        if only and name not in only:
            continue
        points: dict[str, list[Point]] = {}
        for curve, point in measure(counts):
            points.setdefault(curve, []).append(point)
            print(
                f"{curve:<18} {point.count:>10,} {point.cpu_s:10.3f} CPU s {point.mb:8.1f} MB",
                flush=True,
            )
        fresh |= {curve: Curve(curve, tuple(each)) for curve, each in points.items()}
    before = {each.name: each for each in (kept() if KEPT.exists() else [])}
    return list((before | fresh).values())


def main() -> int:
    """Measure; exits with 1 if a curve is too steep."""
    ask = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    ask.add_argument("--only", nargs="*", default=[], help="these axes alone")
    ask.add_argument("--write", action="store_true", help="measure nothing")
    given = ask.parse_args()
    curves = kept() if given.write else measured(given.only)
    if not given.write:
        record: dict[str, Any] = {"curves": [each.to_json() for each in curves]}
        KEPT.write_text(json.dumps(record, indent=1) + "\n")
    for path, text in files(curves).items():
        path.write_text(text)
    steep = [f"{c.name}: {c.exponent:.2f}" for c in curves if c.exponent > LIMIT]
    if not given.write:
        for each in curves:
            print(
                f"{each.name:<18} exponent {each.exponent:5.2f}, memory {each.memory_exponent:5.2f}"
            )
        print(f"steeper than {LIMIT}: {', '.join(steep) or 'none'}")
    return bool(steep)


if __name__ == "__main__":
    sys.exit(main())
