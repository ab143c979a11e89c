"""Before an engine fails: what the doctor says of each that is started, told while it loads.

In a process of its own: it reads files that may lie on a disk which stands still, and asks
nvidia-smi. The start does not wait for it, and what it finds holds nothing: a wrong hold would be
an outage.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from vllmd.config.command import python_path
from vllmd.config.model import Config
from vllmd.engine.doubts import Doubt, Doubts
from vllmd.eventlog.bus import Event
from vllmd.events.base import emit
from vllmd.events.engine import EngineDoubted, EngineNotExamined, EngineSpawned
from vllmd.util import child_process
from vllmd.util.parts import Part

LOOK_S = 60.0
FAILED = 1
"""The exit code of a doctor that found what will fail; 0 if it found none."""
TOLD = ("error", "warning")

_log = structlog.get_logger()


class OnStartDoctor:
    """Has the doctor look at engines that are started; `put` hears the events."""

    def __init__(self, config: Config, socket: Path) -> None:
        self.configure(config)
        self.doubts = Doubts()
        """What is found about the starts that are under way, by it and by others."""
        self._socket = socket
        self._waiting: list[str] = []
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while no start waits to be looked at."""
        self.idle.set()
        self._reported: dict[str, frozenset[str]] = {}

    def configure(self, config: Config) -> None:
        """Look at the engines of this configuration from now on."""
        self._path = config.path
        self._names = {n for n, e in config.engines.items() if not e.is_stand_in}

    def put(self, event: Event) -> None:
        """Take an event: a start is looked at, unless it waits to be already."""
        name = event.engine
        if event.name != EngineSpawned.name or name is None:
            return
        self.doubts.begin(name)
        if name not in self._names or self._path is None:
            return
        if name not in self._waiting:
            self._waiting.append(name)
        self.idle.clear()
        self._wake.set()

    def parts(self) -> list[Part]:
        """Return what is to run."""
        return [Part("doctor", self.run)]

    async def run(self) -> None:
        """Look at what was started, one engine after the other, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                name = self._waiting.pop(0)
                self._tell(name, await self._look(name))
            self.idle.set()

    async def _look(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the findings; none where the doctor itself fails, which is said."""
        command = [sys.executable, "-m", "vllmd", "doctor", name, "--json", "--offline"]
        command += ["--config", str(self._path), "--socket", str(self._socket)]
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": python_path()},
            )
            async with asyncio.timeout(LOOK_S):
                output, words = await process.communicate()
            if process.returncode not in (0, FAILED):
                raise ValueError(words.decode(errors="replace").strip()[-500:])
            findings = _read(output, words)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            problem = str(error) or f"not done within {LOOK_S:.0f} s"
            emit(_log, EngineNotExamined(problem=problem), engine=name)
            return ()
        finally:
            if process is not None:
                await child_process.end(process)
        return [each for each in findings if each["severity"] in TOLD]

    def _tell(self, name: str, findings: Sequence[Mapping[str, Any]]) -> None:
        """Say what is new since this engine's last start; a restart repeats nothing."""
        before = self._reported.get(name, frozenset())
        self._reported[name] = frozenset(each["found"] for each in findings)
        keys = ("check", "severity", "found", "fix")
        self.doubts.tell(name, "doctor", [Doubt(*(each[k] for k in keys)) for each in findings])
        for each in findings:
            if each["found"] not in before:
                emit(
                    _log,
                    EngineDoubted(
                        check=each["check"],
                        severity=each["severity"],
                        found=each["found"],
                        fix=each["fix"],
                    ),
                    engine=name,
                )


def _read(output: bytes, words: bytes) -> list[dict[str, str]]:
    """Return the findings that a doctor printed; `words` is what it said beside them.

    Raises: ValueError, LookupError, TypeError, RecursionError: they are none.
    """
    if not output.strip():  # Python's own exit code for an error is that of a doctor that found one
        raise ValueError(words.decode(errors="replace").strip()[-500:] or "it printed nothing")
    keys = ("check", "severity", "found", "fix")
    return [{key: str(each[key]) for key in keys} for each in json.loads(output)["findings"]]
