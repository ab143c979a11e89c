import asyncio
import socket

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from vllmd.asgi import Background, Server


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


async def test_background_serves_beside_whoever_started_it() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])
    server = Background(app)
    await server.start(listener)
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert response.text == "here"
    async with asyncio.timeout(5):
        await server.close()
    await Background(app).close()
