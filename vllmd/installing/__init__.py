"""The engines themselves: vLLM installed beside vllmd, version by version, and back again.

All that is known of an installed vLLM is beside it, in `.records`, and a program finds its own
by where it lies. `config/command.py` follows the link `current` when a command is built, so that
a command names a version, and a change of the link is a changed command. The flags are the
parser's own, caught by `probe.py` when the program begins to parse: the module that makes it is
not where it was in earlier versions. User documentation: `docs/engines.md`.
"""
