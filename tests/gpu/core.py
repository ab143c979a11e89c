"""A process that uses a real GPU as vLLM's core does: by its own rule at the start, then computing.

Run with `core.py SHARE [compute] [anyway]`: the last leaves the rule out. It prints READY with
CUDA's figures, or what vLLM prints when there is too little room; it ends when its standard input
is closed.
"""

import math
import sys
import threading
import time

import torch

GIB = 1024**3


CONTEXT = 640 * 1024**2
"""What its context took before it could ask; about."""


def _wait(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main() -> int:
    share, compute = float(sys.argv[1]), "compute" in sys.argv
    torch.cuda.init()
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    wanted = math.ceil(total * share)
    if free < wanted and "anyway" not in sys.argv:
        print(
            f"ValueError: Free memory on device cuda:0 ({free / GIB:.2f}/{total / GIB:.2f} GiB) on "
            "startup is less than desired GPU memory utilization "
            f"({share}, {wanted / GIB:.2f} GiB). Decrease GPU memory utilization or reduce GPU "
            "memory used by other processes.",
            flush=True,
        )
        return 1
    side = 8192
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    b = torch.empty_like(a)
    torch.mm(a, a, out=b)
    torch.cuda.synchronize()
    left = wanted - (free - torch.cuda.mem_get_info()[0]) - CONTEXT
    held = torch.empty(max(1, left), dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    print(f"READY {free} {total} {held.numel()}", flush=True)
    ended = threading.Event()
    threading.Thread(target=_wait, args=(ended,), daemon=True).start()
    while not ended.is_set():
        if compute:
            torch.mm(a, a, out=b)
            torch.cuda.synchronize()
        else:
            time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
