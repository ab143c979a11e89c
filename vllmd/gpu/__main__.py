"""Start a source of readings without site-packages: ``python3 -I -S -B …/gpu/__main__.py``.

Arguments: `nvml` or `demo`, the folder in which pynvml lies, and seconds: fast, processes, slow.
"""

import sys

SOURCE, FOLDER, *SECONDS = sys.argv[1:]
if not __package__:
    sys.path[:0] = [__file__.rsplit("/vllmd/gpu/", 1)[0], FOLDER]

if SOURCE == "demo":
    from vllmd.gpu.demo import main
else:
    from vllmd.gpu.reader import main

sys.exit(main(SECONDS))
