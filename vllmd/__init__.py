"""vllmd: the operations daemon for vLLM."""

__version__ = "0.1.0"
