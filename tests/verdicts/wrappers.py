"""What keeps a log puts something before each of its lines, or around it."""

import json
from collections.abc import Callable, Sequence

Wrap = Callable[[int, str], str]


def _clock(n: int) -> str:
    return f"{21 + n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}"


def _docker_json(n: int, line: str) -> str:
    time = f"2026-11-28T{_clock(n)}.123456789Z"
    return json.dumps({"log": f"{line}\n", "stream": "stderr", "time": time})


def _colours(_: int, line: str) -> str:
    """Colour the process's name as decorate_logs does, and the level as ColoredFormatter does."""
    for level, colour in {"INFO": 32, "WARNING": 33, "ERROR": 31}.items():
        line = line.replace(f"{level} 11-", f"\x1b[{colour}m{level}\x1b[0m 11-", 1)
    if line.startswith("(") and " pid=" in line and ") " in line:
        name, rest = line.split(") ", 1)
        return f"\x1b[1;36m{name})\x1b[0;0m {rest}"
    return line


WRAPPERS: dict[str, Wrap] = {
    "plain": lambda n, line: line,
    "compose": lambda n, line: f"vllm-1  | {line}",
    "docker-timestamps": lambda n, line: f"2026-11-28T{_clock(n)}.123456789Z {line}",
    "docker-json": _docker_json,
    "journald": lambda n, line: f"Nov 28 {_clock(n)} gpu01 vllm[4711]: {line}",
    "journald-iso": lambda n, line: f"2026-11-28T{_clock(n)}+0100 gpu01 vllm[4711]: {line}",
    "cri": lambda n, line: f"2026-11-28T{_clock(n)}.123456789Z stderr F {line}",
    "kubectl": lambda n, line: f"[pod/vllm-0/engine] {line}",
    "kubectl-timestamps": lambda n, line: (
        f"[pod/vllm-0/engine] 2026-11-28T{_clock(n)}.1234567Z {line}"
    ),
    "ray": lambda n, line: f"\x1b[36m(ServeReplica:llm:VLLM pid=4711, ip=192.0.2.7)\x1b[0m {line}",
    "colours": _colours,
    "rsyslog": lambda n, line: (
        f"Nov 28 {_clock(n)} gpu01 vllm[4711]: {_colours(n, line)}".replace("\x1b", "#033").rstrip(
            "\r"
        )
        + "#015"
    ),
    "cat-v": lambda n, line: f"{_colours(n, line)}".replace("\x1b", "^[").rstrip("\r") + "^M",
    "runpod": lambda _, line: f"j6zswihe185nfq[{'error' if 'ERROR' in line else 'info'}]{line}",
    "crlf": lambda n, line: f"{line.rstrip(chr(13))}\r",
    "sagemaker": lambda n, line: (
        f"WARN  PyProcess W-162-chat-8b-std{'err' if n % 2 else 'out'}: [1,0]<stdout>:{line}"
    ),
    "sagemaker-old": lambda n, line: f"[INFO ] PyProcess - W-252-model-stderr: {line}",
    "skypilot": lambda n, line: f"(head, rank=0, pid=4711) {line}",
    "logfmt": lambda n, line: (
        f"time=2026-11-28T{_clock(n)}Z level=info msg={json.dumps(line, ensure_ascii=False)}"
    ),
    "nomad": lambda n, line: f"[INFO] vllm: {line}",
    "logcli": lambda n, line: f'2026-11-28T{_clock(n)}Z {{app="vllm", pod="vllm-0"}} {line}',
    "loki": lambda n, line: json.dumps({"labels": {"app": "vllm"}, "line": line}),
    "google": lambda n, line: json.dumps(
        {"insertId": f"a{n}", "jsonPayload": {"message": line}, "severity": "INFO"}
    ),
    "datadog": lambda n, line: json.dumps(
        {"id": f"A{n}", "type": "log", "attributes": {"status": "info", "message": line}}
    ),
    "fluentd": lambda n, line: (
        f"2026-11-28 {_clock(n)}.000 +0000 docker.vllm: "
        + json.dumps({"log": line, "container_name": "/vllm"})
    ),
    "json-logging": lambda n, line: line,
}
"""`json-logging` is vLLM's own, by VLLM_LOGGING_CONFIG: the run is written so already."""


def wrapped(name: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines as that keeper of logs shows them."""
    return tuple(WRAPPERS[name](n, line) for n, line in enumerate(lines))
