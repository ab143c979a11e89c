"""One version of vLLM beside another, under the same load.

`bench.py` has `vllm bench serve` make the load, `record.py` keeps what it measured, `comparison.py`
says whether the later version is worse. User documentation: `docs/engines.md`.
"""
