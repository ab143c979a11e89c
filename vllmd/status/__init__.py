"""One document of all that is known now: the control socket answers it, `/status.json` too.

`document.py` writes it from what the other rooms know, `schema.json` says what is in it, and a test
holds both against each other. `network.py` takes out what only this host may see. The few figures
of load in it, and their last ten minutes, come from vLLM's pages: `load.py` reads one, `window.py`
keeps what a rate and a percentile need, `ring.py` keeps the points. Nothing is written to a disk.
"""
