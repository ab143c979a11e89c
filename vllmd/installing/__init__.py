"""The engines themselves: vLLM installed beside vllmd, version by version, and back again."""
