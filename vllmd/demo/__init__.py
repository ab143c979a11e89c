"""The stand-in engine: behaves as vLLM does, on a machine without a GPU and in tests.

It has vLLM's command line, endpoints, process tree and titles, start-up lines, metric families and
deaths, and computes nothing. Where it and a real vLLM differ, it is wrong: `tests/engine` runs the
same questions against both.
"""
