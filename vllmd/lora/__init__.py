"""The LoRA adapters of engines: what is wanted, what is loaded, and how one becomes the other."""
