"""The stand-in, with what a folder says of it: `engine.py FOLDER serve …` is as `vllm serve …`.

`load_s` is how long it loads, `wall` is what it prints in place of a start, `page` is how its page
answers: slow, 500, garbage, hang, or grow, which takes memory. With `slow-end` it ends slowly.
"""

import os
import sys
from pathlib import Path


def run(folder: Path, argv: list[str]) -> int | str:
    """Serve, or say why not."""
    if (folder / "wall").exists():
        return (folder / "wall").read_text()
    if (folder / "load_s").exists():
        os.environ["VLLMD_STAND_IN_LOAD_S"] = (folder / "load_s").read_text()
    from tests.chaos.scripted import serve  # takes long, and a wall comes early

    return serve(folder, argv)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
