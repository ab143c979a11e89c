"""The picture of `vllmd top` beside a daemon that has run for a while."""

import asyncio
from pathlib import Path

from tests.helpers.site import Site
from tools.pictures.terminal import self_contained
from vllmd.cli.screen.app import TopApp
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host, LocalSource

SIZE = (110, 34)
ENGINE = "chat"


def draw(made: Site, folder: Path) -> None:
    """Write top.svg: all engines, and top-engine.svg: one of them."""
    for name, engine in (("top", None), ("top-engine", ENGINE)):
        svg = asyncio.run(_drawn(made, engine))
        (folder / f"{name}.svg").write_text(self_contained(svg))


async def _drawn(made: Site, engine: str | None) -> str:
    hosts = [Host(LocalSource(made.control), local=True)]
    feeds = Feeds(made.control, made.config)
    app = TopApp(hosts, feeds, made.control.path, engine=engine)
    async with app.run_test(size=SIZE) as pilot:
        await app.look()
        await app.workers.wait_for_complete()
        await pilot.pause()
        return app.export_screenshot(title="vllmd top", simplify=True)
