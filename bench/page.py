"""What an engine's page costs once it is here: taken apart, our names derived, written again.

Beside it the same without what is kept of the page before. In milliseconds of CPU, the least of
many, so that other work on the host counts little. Usage: python bench/page.py
"""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from vllmd.scrape.derived import Renamed, derive
from vllmd.scrape.families import merge, parse_page
from vllmd.scrape.page_parser import PageParser
from vllmd.scrape.render import Renderer, render_text

ROUNDS = 50
PAGE = Path(__file__).parents[1] / "tests" / "data" / "metrics" / "vllm-0.32-cpu.prom"
CHANGING = re.compile(rb"(?m)^(vllm:[a-i][^ ]*) [0-9.]+$")
"""Samples of a third of the families."""


def least_ms(work: Callable[[bytes], object], pages: list[bytes]) -> float:
    """Return the least CPU milliseconds that one page took, the first one left out."""
    taken = []
    for page in pages:
        began = time.thread_time()
        work(page)
        taken.append((time.thread_time() - began) * 1000)
    return min(taken[1:])


def anew(page: bytes) -> bytes:
    """Do all of it again."""
    parsed = parse_page(page, "chat")
    derived = derive(parsed.families, parsed.lora, "chat", ())
    return b"".join(render_text([family]) for family in merge([[*parsed.families, *derived]]))


def kept() -> Callable[[bytes], bytes]:
    """Return what does only what has changed."""
    parser, renderer = PageParser("chat"), Renderer(render_text)
    renamed: Renamed = {}

    def work(page: bytes) -> bytes:
        parsed = parser.parse(page)
        derived = derive(parsed.families, parsed.lora, "chat", (), renamed)
        return b"".join(renderer.render(merge([[*parsed.families, *derived]])))

    return work


def main() -> None:
    """Measure and print."""
    page = PAGE.read_bytes()
    same = [page] * ROUNDS
    busy = [CHANGING.sub(rb"\g<1> %d.0" % number, page) for number in range(ROUNDS)]
    assert kept()(busy[0]) == anew(busy[0])
    print(f"{'of one page':34}{'CPU ms':>7}")
    print(f"{'all of it anew':34}{least_ms(anew, same):7.2f}")
    print(f"{'nothing has changed':34}{least_ms(kept(), same):7.2f}")
    print(f"{'a third of the families has':34}{least_ms(kept(), busy):7.2f}")


if __name__ == "__main__":
    main()
