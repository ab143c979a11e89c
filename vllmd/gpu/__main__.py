"""Start the reader without site-packages: ``python3 -I -S -B …/gpu/__main__.py FOLDER …``.

FOLDER is where pynvml lies; the rest is for the reader.
"""

import sys

if not __package__:
    sys.path[:0] = [__file__.rsplit("/vllmd/gpu/", 1)[0], sys.argv.pop(1)]

from vllmd.gpu.reader import main

if __name__ == "__main__":
    main(sys.argv[1:])
