"""How cost grows: engines, GPUs, adapters, hosts, events, each from one to many.

``python -m bench.growth`` measures (`make growth`), ``--write`` makes the page and the picture anew
of what was measured last.
"""
