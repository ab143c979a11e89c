import asyncio

from vllmd.daemon.engine_client import engine_client

MANY = 150
"""Data parallel ranks: one that is busy answers a token late."""


async def test_engine_client_reads_a_page_however_many_requests_wait() -> None:
    waiting: list[asyncio.StreamWriter] = []
    all_wait = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n")).startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npage")
            writer.close()
            return
        waiting.append(writer)
        if len(waiting) == MANY:
            all_wait.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=MANY)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with engine_client() as client:
        asked = [asyncio.create_task(client.post(url, timeout=3600)) for _ in range(MANY)]
        async with asyncio.timeout(30):
            await all_wait.wait()
            async with client.stream("GET", url, timeout=None) as response:
                assert await response.aread() == b"page"
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    for writer in waiting:
        writer.close()
    server.close()
