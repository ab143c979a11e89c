"""Which GPUs an environment names."""

from collections.abc import Mapping


def visible_gpus(env: Mapping[str, str]) -> frozenset[str] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, by index or UUID as it does.

    Returns: None if it is not set: all of them are visible.
    """
    chosen = env.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return None
    return frozenset(each.strip() for each in chosen.split(",") if each.strip())
