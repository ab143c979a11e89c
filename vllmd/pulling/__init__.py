"""Models brought from the hub into its cache, as huggingface_hub lays it out, by `vllmd pull`.

That library itself needs PyYAML, whose wheels are for one Python each: vllmd cannot bring it along.
What is on the disk is the same, with the same locks, so both may work on one cache.
"""
