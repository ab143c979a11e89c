"""What reading GPUs costs: our reader beside nvitop-exporter, both on the same GPUs in one run.

On a real GPU if there is one, and then whether a matrix product is slower for it; else on the
scripted library, with 1 and with 8 GPUs. Prints one table.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.nvml import FakeNvml, h200
from tests.helpers.ports import free_port
from tests.helpers.reading import reading
from tests.helpers.site import wait_for
from vllmd.gpu.latest import Periods

WATCH_S = 30.0
IMPORT = "import pynvml; pynvml.nvmlInit(); print(1, flush=True); input()"
PRODUCT = """
import time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
b = torch.empty_like(a)
def seconds(count):
    torch.cuda.synchronize(); began = time.perf_counter()
    for _ in range(count): torch.mm(a, a, out=b)
    torch.cuda.synchronize(); return time.perf_counter() - began
seconds(200)
while input() == "go": print(seconds(4000), flush=True)
"""


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads, to the nanosecond (proc(5): schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cost(pid: int) -> tuple[float, float]:
    """Return the share of a core in percent, and resident MB."""
    time.sleep(3)
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(WATCH_S)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - began), resident_mb(pid)


def show(what: str, figures: tuple[float, float]) -> None:
    print(f"{what:<44} {figures[0]:8.3f} % of a core {figures[1]:7.1f} MB", flush=True)


def ours(env: dict[str, str], every_s: float, what: str) -> tuple[float, float]:
    with reading(env, Periods(every_s, 10, 15)) as reader:
        reader.next("slow")
        figures = cost(reader.process.pid)
    show(what, figures)
    return figures


@contextlib.contextmanager
def process(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    made = subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def nvitop(env: dict[str, str], what: str) -> tuple[float, float]:
    program = Path(sys.executable).with_name("nvitop-exporter")
    port = free_port()
    address = ["--bind-address", "127.0.0.1", "--port", str(port), "--interval", "1"]
    with process([str(program), *address], env) as made:
        wait_for("its page", lambda: _answers(port))
        figures = cost(made.pid)
    show(what, figures)
    return figures


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).is_success
    return False


def bare(env: dict[str, str]) -> None:
    with process([sys.executable, "-I", "-c", IMPORT], env) as made:
        assert made.stdout is not None
        made.stdout.readline()
        print(f"{'import pynvml and nvmlInit alone':<44} {'':>21} {resident_mb(made.pid):7.1f} MB")


def product() -> None:
    """Time a matrix product with no reader, at 1 s and at 10 Hz, in turns."""
    with process([sys.executable, "-c", PRODUCT], {}) as made:

        def seconds() -> float:
            assert made.stdin is not None
            assert made.stdout is not None
            made.stdin.write("go\n")
            made.stdin.flush()
            return float(made.stdout.readline())

        seconds()
        found: dict[str, list[float]] = {"no reader": [], "1 s": [], "10 Hz": []}
        for _ in range(5):
            found["no reader"].append(seconds())
            for name, every_s in (("1 s", 1.0), ("10 Hz", 0.1)):
                with reading({}, Periods(every_s, 10, 15)) as reader:
                    reader.next("slow")
                    found[name].append(seconds())
    base = sorted(found["no reader"])
    spread = 100 * (base[-1] / base[0] - 1)
    print(f"4000 products 8192^3 bf16: {base[2]:.3f} s, {spread:.2f} % apart without a reader")
    for name in ("1 s", "10 Hz"):
        ratio = 100 * (sorted(found[name])[2] / base[2] - 1)
        print(f"  with the reader at {name}: {ratio:+.2f} %")


def main() -> None:
    if shutil.which("nvidia-smi"):
        bare({})
        ours({}, 1.0, "vllmd's reader at 1 s, real GPU")
        ours({}, 0.1, "vllmd's reader at 10 Hz, real GPU")
        nvitop({}, "nvitop-exporter at 1 s, real GPU")
        product()
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for count in (1, 8):
            gpus = [h200(n, f"GPU-{n:08}-0000-0000-0000-000000000000") for n in range(count)]
            env = FakeNvml(Path(folder), *gpus).env
            if count == 1:
                bare(env)
            found[count] = ours(env, 1.0, f"vllmd's reader at 1 s, {count} scripted GPUs")
            other = nvitop(env, f"nvitop-exporter at 1 s, {count} scripted GPUs")
            print(f"  nvitop-exporter over ours: {other[0] / found[count][0]:.1f} times the CPU")
        print(f"8 GPUs over 1: {found[8][0] / found[1][0]:.1f} times the CPU")


if __name__ == "__main__":
    main()
