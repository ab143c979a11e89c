"""`vllmd.toml`: read, or refused with all mistakes; what is read makes commands."""

from pathlib import Path

from tests.fuzz.target import Target
from vllmd.config.command import build_all
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.errors import VllmdError

ROOT = Path(__file__).parents[3]


def _run(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        config, warnings = parse(text, "/etc/vllmd/vllmd.toml")
        build_all(config)
    except InvalidConfigError as error:
        str(error)
        return
    except VllmdError:
        return
    for each in warnings:
        str(each)


def _corpus() -> list[bytes]:
    whole = (ROOT / "etc" / "vllmd.toml").read_bytes()
    # the file shows each key commented out, with its default
    shown = whole.replace(b"\n# ", b"\n").replace(b"\n#", b"\n")
    parts = [b"[" + part for part in whole.replace(b"\n# ", b"\n").split(b"\n[")]
    return [whole, shown, *parts, ENGINES, *(e.read_bytes() for e in _examples())]


def _examples() -> list[Path]:
    return sorted((ROOT / "examples").rglob("*.toml"))


ENGINES = b"""
[engines.chat]
model = "m"
port = 8000
env = { A = "b" }
flags = { max-num-seqs = 3, enable-x = true }
restart = { initial_s = 1, max_s = 2 }
liveness = { stall_s = 3 }
lora = { adapters = { sql = "/a" }, max_loras = 2 }
sleep = { level = 1, idle_s = 60, times = ["Mon-Fri 22:00-06:00"] }
preload = true
probe = { every_s = 3600 }
group = { hosts = ["a", "b:9840"], rank = 0 }
"""
TARGET = Target(
    "configuration",
    _run,
    _corpus,
    scraps=(
        *(b"[engines.chat]\n", b"[daemon]\n", b"model = ", b"port = 0\n", b"= inf\n", b"= nan\n"),
        *(b'"""', b"'''", b"1979-05-27T07:32:00Z", b"0x", b"{ a = ", b"[[engines]]\n", b"\\u0000"),
        *(b"Mon-Fri 22:00-06:00", b"1e308", b"-0.0", b"a.b.c = 1\n", b"\xe2\x80\xae"),
    ),
)
