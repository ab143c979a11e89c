"""`vllm serve` as far as a GPU sees it: a core that holds memory, and the stand-in's API."""

import subprocess
import sys
from pathlib import Path

from vllmd.demo import server


def main() -> int:
    arguments = sys.argv[1:]
    share = arguments[arguments.index("--gpu-memory-utilization") + 1]
    core = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("core.py")), share],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert core.stdout is not None
    said = core.stdout.readline()
    print(f"(EngineCore pid={core.pid}) {said}", flush=True)
    if not said.startswith("READY"):
        return 1
    return server.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
