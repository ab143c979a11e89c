"""A request that is in flight when the system goes down."""

import http.client
import json
import os
import signal
import time
from typing import Any

from .tools import API, get, sh, until

RESULT = "/opt/t/drain.json"
DOWN = "/opt/t/down.json"
ASKING = "/opt/t/asking.json"


def begin(tokens: int) -> None:
    """Start a client that asks for something that takes longer than the system takes to go down."""
    sh(f"systemd-run --unit=client --working-directory=/opt/t python3 -m inside client {tokens}")
    # an emulated machine starts it slowly, and before it asks it would end with the rest
    until("the client", lambda: os.path.exists(ASKING))
    time.sleep(0.7)
    write(DOWN, {"at": time.time(), "tokens": tokens})


def client(tokens: int) -> None:
    """Ask, and write down what came."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is asked to end together with the engine
    write(ASKING, {"at": time.time()})
    body: dict[str, Any] = {"model": "tiny", "max_tokens": tokens, "ignore_eos": True}
    body["messages"] = [{"role": "user", "content": "hi"}]
    try:
        answer = json.loads(get(f"{API}/v1/chat/completions", body))
    except (OSError, http.client.HTTPException) as error:
        answer = {"error": repr(error)}
    write(RESULT, {"at": time.time(), "answer": answer})


def write(path: str, value: object) -> None:
    """Write so that it is there after the system went down."""
    with open(path, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())


def went_down() -> bool:
    """Tell whether the system has gone down once already."""
    return os.path.exists(DOWN)
