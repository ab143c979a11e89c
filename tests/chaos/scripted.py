"""How the scripted engine differs from the stand-in: its page answers as a folder says."""

import asyncio
import os
import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from vllmd.demo.api import DemoApi
from vllmd.demo.server import main

SLOW_S, HANG_S, END_S = 2.0, 600.0, 3.0
GROWTH = 256 << 20


def serve(folder: Path, argv: list[str]) -> int:
    """Serve as the stand-in does, but for the page."""
    page, kept = DemoApi.metrics, []

    async def metrics(api: DemoApi, request: Request) -> Response:
        match (folder / "page").read_text() if (folder / "page").exists() else "":
            case "slow":
                await asyncio.sleep(SLOW_S)
            case "500":
                return Response("no page", status_code=500)
            case "garbage":
                return Response(b"\xff\x00{}= nan\n" * 500, media_type="text/plain")
            case "hang":
                await asyncio.sleep(HANG_S)
            case "grow":
                kept.append(os.urandom(GROWTH))
        return await page(api, request)

    DemoApi.metrics = metrics  # type: ignore[method-assign, assignment]
    code = main(argv)
    if (folder / "slow-end").exists():
        time.sleep(END_S)
    return code
