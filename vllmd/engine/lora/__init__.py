"""The LoRA adapters of an engine: what is wanted, what is loaded, and how one becomes the other."""
