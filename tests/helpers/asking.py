"""Clients behind a balancer: `python asking.py` on a host asks its engine while it is green.

Prints, when it is told to end, how many requests there were and how many were lost: begun while
`/ready` was green, and not answered with 200.
"""

import json
import signal
import sys
import threading
import time
import urllib.request

READY, COMPLETIONS = "http://127.0.0.1:9840/ready/big", "http://127.0.0.1:8000/v1/completions"
BODY = json.dumps({"model": "tiny", "prompt": "1", "max_tokens": 4}).encode()
CLIENTS, PAUSE_S, LIMIT_S = 4, 0.25, 30.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answered(url: str, body: bytes | None, limit_s: float) -> bool:
    try:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with OPENER.open(request, timeout=limit_s) as answer:
            answer.read()
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


class Count:
    """What all of them saw."""

    asked = lost = 0
    over = threading.Event()
    lock = threading.Lock()


def ask() -> None:
    while not Count.over.is_set():
        if answered(READY, None, 2.0):
            done = answered(COMPLETIONS, BODY, LIMIT_S)
            with Count.lock:
                Count.asked += 1
                Count.lost += not done
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: Count.over.set())
    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    json.dump({"asked": Count.asked, "lost": Count.lost}, sys.stdout)
