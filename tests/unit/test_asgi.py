import asyncio
import socket

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from vllmd.asgi import Server


async def test_server_serves_until_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])
    server = Server(app)
    running = asyncio.create_task(server.run_on(listener))
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert response.text == "here"
    server.close()
    await asyncio.wait_for(running, 5)
