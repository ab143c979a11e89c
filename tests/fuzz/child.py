"""The process that tries the inputs of one target: `python -m tests.fuzz.child`.

What it does it writes to standard output, a line of JSON each. The input that is being tried is in
a file, so that it is there also when it ends this process. Atheris draws the inputs, by what of
vllmd they reach.
"""

import argparse
import json
import logging
import mmap
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import structlog

from tests.fuzz.bounds import bound_memory, bounded_cpu
from tests.fuzz.inputs import MAX_BYTES, damaged, smaller
from tests.fuzz.target import Target

EVERY_S = 1.0


class InHand:
    """The input that is being tried, in a file that outlives this process."""

    def __init__(self, path: Path) -> None:
        size = 2 * MAX_BYTES
        with open(path, "w+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)

    def put(self, data: bytes) -> None:
        self._map[8 : 8 + len(data)] = data
        self._map[:8] = len(data).to_bytes(8)

    @staticmethod
    def read(path: Path) -> bytes:
        content = path.read_bytes()
        return content[8 : 8 + int.from_bytes(content[:8])]


def kind_of(error: BaseException) -> str:
    """Name a mistake by what was raised, and where in vllmd."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "/vllmd/" in each.filename] or list(frames)
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "nowhere"
    return f"{type(error).__name__} in {where}"


class Trying:
    """The inputs of one target, and what became of them."""

    def __init__(self, target: Target, in_hand: InHand, seed: int) -> None:
        self._target, self._in_hand = target, in_hand
        self._corpus, self._chance = list(target.corpus()), random.Random(seed)
        self.found: set[str] = set()
        self._tried, self._said_at = 0, 0.0

    def outcome(self, data: bytes) -> Exception | None:
        """Try an input; return what was raised."""
        self._in_hand.put(data)
        self._tried += 1
        try:
            with bounded_cpu(self._target.cpu_s):
                self._target.run(data)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises
            return error
        return None

    def one(self, data: bytes) -> None:
        """Try an input; what is found is made small, and told."""
        error = self.outcome(data[:MAX_BYTES])
        if error is not None and (kind := kind_of(error)) not in self.found:
            self.found.add(kind)
            small = smaller(data[:MAX_BYTES], lambda each: self._is(each, kind))
            text = "".join(traceback.format_exception(error))[-3000:]
            say(found={"kind": kind, "input": small.hex(), "text": text})
        if time.monotonic() - self._said_at > EVERY_S:
            self._said_at = time.monotonic()
            say(tried=self._tried, cpu_s=time.process_time())

    def _is(self, data: bytes, kind: str) -> bool:
        error = self.outcome(data)
        return error is not None and kind_of(error) == kind

    def mutated(self, data: bytes, most: int, _seed: int) -> bytes:
        """Damage an input: as libFuzzer does, or as what is read here breaks."""
        import atheris

        if self._chance.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return damaged(data, self._chance, self._corpus, self._target.scraps)[:most]


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def be_quiet() -> None:
    """Have what is logged of an input go nowhere."""
    logging.disable(logging.CRITICAL)

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop], cache_logger_on_first_use=False)


def fuzz(trying: Trying, target: Target, seed: int, seconds: float, folder: Path) -> None:
    """Try inputs for so long; ends this process."""
    import atheris

    known = folder / "corpus"
    known.mkdir()
    for number, data in enumerate(target.corpus()):
        (known / f"{number:04d}").write_bytes(data)
    told = [f"-max_total_time={max(1, round(seconds))}", f"-max_len={MAX_BYTES}", f"-seed={seed}"]
    told += ["-timeout=3600", "-rss_limit_mb=0", "-verbosity=0", f"-artifact_prefix={folder}/"]
    atheris.Setup(
        ["fuzz", *told, str(known)],
        trying.one,
        custom_mutator=trying.mutated,
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


def main() -> int:
    ask = argparse.ArgumentParser()
    ask.add_argument("target")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--seconds", type=float, default=0)
    ask.add_argument("--replay", type=Path)
    ask.add_argument("--folder", type=Path, required=True)
    ask.add_argument("--known", default="[]", help="kinds that are not told again")
    asked = ask.parse_args()
    import atheris  # only here: who tests the rest of this needs none

    with atheris.instrument_imports(include=["vllmd"]):
        from tests.fuzz.targets import TARGETS
    be_quiet()
    target = TARGETS[asked.target]
    trying = Trying(target, InHand(asked.folder / "input"), asked.seed)
    trying.found |= set(json.loads(asked.known))
    for known in target.corpus()[:3]:
        target.run(known)  # what it takes once, such as imports, is no input's
    bound_memory(target.memory_mb)
    if asked.replay:
        error = trying.outcome(asked.replay.read_bytes())
        if error is not None:
            traceback.print_exception(error)
        return int(error is not None)
    fuzz(trying, target, asked.seed, asked.seconds, asked.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
