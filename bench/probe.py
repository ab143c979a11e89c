"""How often the probe of answers is wrong: false alarms of a sound engine, true ones of faults.

Runs a real vLLM (CPU build) with a small model, and one more for each fault. A number gives how
many probes the sound one is asked (10,000 by default). Prints rows for docs/probe.md.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import attrs
import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.models.probe import FAULTS
from tests.helpers.ports import free_port
from vllmd.demo import real
from vllmd.probe.answer import BrokenAnswerError, PromptAnswer
from vllmd.probe.asking import Asker, NotAskedError
from vllmd.probe.judge import TOLERANCE, Judgement, judge, limit_of, most_central, noise_of

PROBES = 10_000
CONCURRENCY = (32, 16, 8, 4, 1)
"""Probes at the same time: five requests each, so that 1 to 160 are computed together."""
LOAD = 8
"""Other requests in flight beside them."""
OF_A_FAULT = 20
START_S = 900.0
FLAGS = ["--max-model-len", "512", "--max-num-seqs", "192", "--enforce-eager"]
FLAGS += ["--disable-uvicorn-access-log"]
LORA = ["--enable-lora", "--max-lora-rank", "8"]
ENV = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
ENV |= {"VLLM_SERVER_DEV_MODE": "1"}
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


@attrs.define
class Row:
    """What one kind of probes showed."""

    name: str
    asked: int = 0
    alarms: int = 0
    distances: list[float] = attrs.field(factory=list)
    broken: int = 0
    failed: int = 0

    def take(self, found: Judgement | None) -> None:
        """Take a probe; None for an answer that no sound engine gives."""
        self.asked += 1
        self.alarms += found is None or found.differs
        self.broken += found is None
        if found is not None:
            self.distances.append(found.distance)

    def line(self) -> str:
        """Return it as a row of a table."""
        seen = sorted(self.distances)
        if not seen:
            return f"| {self.name} | {self.asked} | {self.alarms} | no numbers | |"
        middle, most = seen[len(seen) // 2], seen[-1]
        return f"| {self.name} | {self.asked:,} | {self.alarms:,} | {middle:.4f} | {most:.4f} |"


@contextlib.contextmanager
def engine(program: Path, model: Path, *flags: str) -> Iterator[str]:
    """Run a vLLM; yields its URL."""
    port = free_port()
    command = [str(program), "serve", str(model), "--served-model-name", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port), *FLAGS, *flags]
    with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **ENV},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process, log.name)
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, Path(log).read_text()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success:
                return
        time.sleep(1)
    raise TimeoutError(log)


@contextlib.asynccontextmanager
async def load(asker: Asker, model: str, count: int) -> AsyncIterator[None]:
    """Keep other requests in flight, of all lengths."""

    async def ask() -> None:
        while True:
            letters = random.choices("abcdefgh ,.", k=random.randint(1, 200))
            body = {
                "model": model,
                "prompt": "".join(letters),
                "max_tokens": random.randint(1, 60),
                "temperature": random.choice([0, 1]),
            }
            with contextlib.suppress(httpx.HTTPError):
                await asker.client.post(f"{asker.url}/v1/completions", json=body, timeout=300)

    tasks = [asyncio.create_task(ask()) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def probe(
    asker: Asker, expected: Sequence[PromptAnswer], limit: float, count: int, at_once: int, row: Row
) -> None:
    """Ask so many probes, some of them at once."""
    left = iter(range(count))

    async def ask() -> None:
        for number in left:
            try:
                found = await asker.ask(together=bool(number % 8))
            except BrokenAnswerError:
                row.take(None)
            except NotAskedError:  # a connection that a busy server closed
                row.failed += 1
            else:
                row.take(judge(expected, found, limit))

    await asyncio.gather(*(ask() for _ in range(at_once)))


@contextlib.asynccontextmanager
async def asking(url: str, model: str = "tiny") -> AsyncIterator[Asker]:
    """Yield who asks an engine."""
    limits = httpx.Limits(max_connections=512)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        yield Asker(client, url, model)


async def record(asker: Asker) -> tuple[Sequence[PromptAnswer], float]:
    """Return a reference, and the limit for it."""
    samples = [await asker.ask(together=together) for together in (False, True, True)]
    return most_central(samples), limit_of(TOLERANCE, noise_of(samples))


async def sound(url: str, count: int, show: Callable[[Row], None]) -> None:
    """Ask a sound engine."""
    async with asking(url) as asker:
        expected, limit = await record(asker)
        for at_once in CONCURRENCY:
            share = count * at_once // (2 * sum(CONCURRENCY)) + 1
            row = Row(f"sound, {at_once} at a time")
            await probe(asker, expected, limit, share, at_once, row)
            show(row)
            row = Row(f"sound, {at_once} at a time, beside {LOAD} other requests")
            async with load(asker, "tiny", LOAD):
                await probe(asker, expected, limit, share, at_once, row)
            show(row)


async def faulty(url: str, model: str, name: str, expected: Sequence[PromptAnswer]) -> Row:
    """Ask one that is not."""
    row = Row(name)
    async with asking(url, model) as asker:
        try:
            await probe(asker, expected, TOLERANCE, OF_A_FAULT, 2, row)
        except (NotAskedError, ExceptionGroup) as error:
            row.name += f" ({error})"
    return row


async def beside_adapter(url: str, expected: Sequence[PromptAnswer]) -> Row:
    """Ask the base model while requests for an adapter are computed."""
    row = Row("base model, beside requests for an adapter")
    async with asking(url) as asker, load(asker, "other", LOAD):
        await asyncio.sleep(2)
        await probe(asker, expected, TOLERANCE, OF_A_FAULT, 2, row)
    return row


def load_weights(url: str, folder: Path, fault: Path) -> None:
    """Have the engine read the weights of a fault in place of its own."""
    for name in (WEIGHTS, TOKENIZER):
        (folder / name).write_bytes((fault / name).read_bytes())
    body = {"method": "reload_weights"}
    answer = httpx.post(f"{url}/collective_rpc", json=body, timeout=600, trust_env=False)
    answer.raise_for_status()


def with_faults(url: str, folder: Path, expected: Sequence[PromptAnswer]) -> Iterator[Row]:
    """Ask an engine whose weights are those of one fault after the other, then the right ones."""
    for name in (*FAULTS, "right"):
        load_weights(url, folder / "served", folder / name)
        yield asyncio.run(faulty(url, "tiny", f"weights: {name}", expected))


def main() -> None:
    """Print the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PROBES
    program, _ = real.prepare()
    with tempfile.TemporaryDirectory(prefix="vllmd-probe-") as made:
        folder, script = Path(made), Path(__file__).with_name("models") / "probe.py"
        subprocess.run([program.with_name("python"), script, folder], check=True)
        shutil.copytree(folder / "right", folder / "served")

        def show(row: Row) -> None:
            print(row.line(), flush=True)

        print("| engine | probes | alarms | nats, median | nats, most |")
        print("| --- | --- | --- | --- | --- |", flush=True)
        adapter = ["--lora-modules", f"other={folder / 'lora'}"]
        with engine(program, folder / "served", *LORA, *adapter) as url:
            expected = asyncio.run(recorded(url))
            show(asyncio.run(faulty(url, "tiny", "sound", expected)))
            show(
                asyncio.run(faulty(url, "other", "an adapter applied to the base model", expected))
            )
            show(asyncio.run(beside_adapter(url, expected)))
            for row in with_faults(url, folder, expected):
                show(row)
            asyncio.run(sound(url, count, show))
        with engine(program, folder / "tokenizer") as url:
            show(asyncio.run(faulty(url, "tiny", "another tokenizer", expected)))
        with engine(program, folder / "right", "--dtype", "float32") as url:
            show(asyncio.run(faulty(url, "tiny", "float32 instead of bfloat16", expected)))


async def recorded(url: str) -> Sequence[PromptAnswer]:
    """Return a reference."""
    async with asking(url) as asker:
        return (await record(asker))[0]


if __name__ == "__main__":
    main()
