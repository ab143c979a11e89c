"""What an output of vLLM says, read before any cause is looked for."""
