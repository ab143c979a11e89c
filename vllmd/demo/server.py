"""The stand-in's main process: what `vllm serve` does from its start to its death."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from vllmd.demo import preload
from vllmd.demo.api import VERSION, DemoApi
from vllmd.demo.args import Args, parse_args
from vllmd.demo.engine import DemoEngine, EngineDeadError
from vllmd.demo.group import HANDSHAKE, GroupArgs, Head, join
from vllmd.demo.lora import LoadedAdapters, LoadError
from vllmd.demo.metrics import Metrics
from vllmd.demo.output import say
from vllmd.demo.spans import Spans
from vllmd.http import asgi_server
from vllmd.http.connections import ConnectionLimits

UNLIMITED = ConnectionLimits(body_s=None, unread_s=None, max_body_bytes=None)
DEATH_S = "VLLMD_STAND_IN_DEATH_S"
"""Seconds between the death of the EngineCore and the server's own end; 5 to 7 in vLLM (seen)."""


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM, or until the EngineCore dies.

    Returns: 0 in both cases, as vLLM does; 1 if it cannot start; 130 if told to end
        before it is up.
    """
    if argv[:1] == ["preload"]:
        return preload.main(argv)
    args = parse_args(argv)
    try:
        return asyncio.run(_serve(args))
    except KeyboardInterrupt:
        return 130


async def _serve(args: Args) -> int:
    loop, started_at = asyncio.get_running_loop(), time.time()
    spans = Spans(args.traces_endpoint)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if args.group is not None and args.group.part:
        return await _be_member(args, args.group, stopped)
    say("APIServer", f"version {VERSION}, model {args.model}", source="api_utils.py:347")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((args.host, args.port))
    except OSError as error:
        say("APIServer", f"[Errno {error.errno}] {error.strerror}", level="ERROR")
        return 1
    metrics = Metrics(args)
    engine = DemoEngine(args, metrics)
    if not await _load(engine, stopped, "0" if preload.mapped(args) else None):
        return 130 if stopped.is_set() else 1
    if args.group is not None and (code := await _gather(engine, args.group, stopped)) is not None:
        return code
    try:
        adapters = LoadedAdapters(args)
    except LoadError as error:
        say("APIServer", f"ValueError: {error}", level="ERROR")
        engine.process.terminate()
        return 1
    spans.loaded(started_at)
    api = DemoApi(args, engine, metrics, spans, adapters)
    server = asgi_server.AsgiServer(api.app(), limits=UNLIMITED)
    serving = asyncio.create_task(server.run_on(listener))
    say("APIServer", f"Starting vLLM server on http://{args.host}:{args.port}")
    sys.stderr.write("INFO:     Application startup complete.\n")
    await _until_end(engine, stopped)
    if engine.died.is_set():
        say(
            "APIServer",
            f"EngineDeadError: {EngineDeadError.__doc__}",
            level="ERROR",
            source="async_llm.py:906",
        )
        await asyncio.sleep(float(os.environ.get(DEATH_S, "5")))
    else:
        say("APIServer", "[shutdown] API server: shutdown triggered", source="launcher.py:254")
        api.draining = True
        await engine.wait_idle(args.shutdown_timeout)
        engine.abort_all()
        engine.process.terminate()
    sys.stderr.write("INFO:     Shutting down\n")
    server.close()
    await serving
    await asyncio.to_thread(spans.close)
    sys.stderr.write(f"INFO:     Finished server process [{os.getpid()}]\n")
    return 0


async def _gather(engine: DemoEngine, group: GroupArgs, stopped: asyncio.Event) -> int | None:
    """Wait for the members of a head; return the exit code, if that ends it."""
    engine.head = Head(group)
    gathering = asyncio.create_task(engine.head.gather())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({gathering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not gathering.done():
        gathering.cancel()
        engine.process.terminate()
        return 130
    if (error := gathering.exception()) is not None:
        say("APIServer", f"RuntimeError: {error}", level="ERROR")
        engine.process.terminate()
        return 1
    return None


async def _be_member(args: Args, group: GroupArgs, stopped: asyncio.Event) -> int:
    """Load and join, and then stay; 0 whatever ends it, as of vLLM."""
    what = "headless multiproc executor" if group.tensor else "1 data parallel engine(s)"
    say("MainProcess", f"Launching vLLM (v{VERSION}) {what}", source="serve.py:225")
    engine = DemoEngine(args, Metrics(args))
    if not await _load(engine, stopped, None):
        return 0
    joining = asyncio.create_task(join(group, float(os.environ.get(HANDSHAKE, "300"))))
    stopping = asyncio.create_task(stopped.wait())
    dying = asyncio.create_task(engine.died.wait())
    waits: set[asyncio.Task[bool]] = {stopping, dying, joining}
    while not (stopped.is_set() or engine.died.is_set()):
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if joining.done() and not joining.result():
            break
        waits.discard(joining)
    for each in (joining, stopping, dying):
        each.cancel()
    if engine.died.is_set() and group.tensor:
        text = f"Worker proc VllmWorker-{group.part} died unexpectedly (exit code: -9), "
        say("MainProcess", f"{text}shutting down executor.", level="ERROR")
    if not engine.died.is_set():
        engine.process.terminate()
    return 0


async def _load(engine: DemoEngine, stopped: asyncio.Event, load_s: str | None) -> bool:
    """Load, unless told to end meanwhile."""
    loading = asyncio.create_task(engine.start(load_s=load_s))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stopped.is_set():
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        engine.process.terminate()
        sys.stderr.write(f"(APIServer pid={os.getpid()}) KeyboardInterrupt: terminated\n")
        return False
    try:
        loading.result()
    except EngineDeadError:
        code = await engine.process.wait()
        sys.stderr.write(
            f"(APIServer pid={os.getpid()}) RuntimeError: Engine core initialization failed. "
            f"See root cause above. Failed core proc(s): {{'EngineCore': {code}}}\n"
        )
        return False
    return True


async def _until_end(engine: DemoEngine, stopped: asyncio.Event) -> None:
    waits = {asyncio.create_task(engine.died.wait()), asyncio.create_task(stopped.wait())}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
