"""Weights that outlive an engine: kept in GPU memory by `vllm preload`, in a shim of its own."""
