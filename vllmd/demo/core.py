"""The stand-in's EngineCore: a process of its own, a token a step for each running request.

It talks lines of JSON with the API server over its standard input and output. When the API server
is killed, it lives on, as the real one does.
"""

import json
import os
import select
import signal
import sys
import time
from typing import Any

from vllmd.demo.output import loading, say
from vllmd.demo.title import set_title

PREFILL_S = "VLLMD_STAND_IN_PREFILL_S"
"""CPU seconds that a token of a prompt takes, all of a prompt in one step; 0 by default."""

TITLE = "VLLM::EngineCore"
ASLEEP = f"{TITLE} asleep"
"""By which the demo GPU knows that it gave its memory back; vLLM's title stays as it is."""
WORDS = ("the", "engine", "stands", "in", "for", "a", "real", "one")


def main() -> None:
    """Load, then step for ever."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    model, load_s, step_s, max_num_seqs = sys.argv[1:5]
    set_title(TITLE)
    lines = loading(model)
    for source, text in lines:
        say("EngineCore", text, source=source)
        time.sleep(float(load_s) / len(lines))
    core = Core(float(step_s), int(max_num_seqs))
    core.send({"ready": True})
    core.run()


class Core:
    """Requests that wait and requests that run."""

    def __init__(self, step_s: float, max_num_seqs: int) -> None:
        self._step_s = step_s
        self._max_num_seqs = max_num_seqs
        self._waiting: list[dict[str, Any]] = []
        self._running: list[dict[str, Any]] = []
        self._received = b""
        self._prefill_s = float(os.environ.get(PREFILL_S, "0"))

    def run(self) -> None:
        """Step while there is work; sleep while there is none."""
        while True:
            busy = bool(self._running or self._waiting)
            readable, _, _ = select.select([0], [], [], self._step_s if busy else None)
            if readable:
                self._receive()
            if busy:
                self._step()

    def _receive(self) -> None:
        block = os.read(0, 65536)
        if not block:
            while True:  # the API server is gone; the real EngineCore stays, and so do we
                signal.pause()
        *lines, self._received = (self._received + block).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "asleep" in request:
                set_title(ASLEEP if request["asleep"] else TITLE)
            elif "abort" in request:
                gone = request["abort"]
                self._waiting = [r for r in self._waiting if r["id"] != gone]
                self._running = [r for r in self._running if r["id"] != gone]
            else:
                self._waiting.append({**request, "done": 0})

    def _step(self) -> None:
        prefilled = 0
        while self._waiting and len(self._running) < self._max_num_seqs:
            request = self._waiting.pop(0)
            prefilled += request["prompt_tokens"]
            self._running.append(request)
        computed = time.monotonic() + prefilled * self._prefill_s
        while time.monotonic() < computed:
            pass
        tokens = {}
        for request in self._running:
            tokens[request["id"]] = WORDS[request["done"] % len(WORDS)]
            request["done"] += 1
        finished = [r["id"] for r in self._running if r["done"] >= r["max_tokens"]]
        self._running = [r for r in self._running if r["id"] not in finished]
        self.send(
            {
                "tokens": tokens,
                "finished": finished,
                "step_tokens": len(tokens) + prefilled,
                "running": len(self._running),
                "waiting": len(self._waiting),
            }
        )

    @staticmethod
    def send(message: dict[str, Any]) -> None:
        """Write one line; nobody reads it when the API server is gone."""
        try:
            os.write(1, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
