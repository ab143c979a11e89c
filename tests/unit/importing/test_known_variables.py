"""The variables of vLLM."""

from vllmd.importing.known_variables import GONE, NAMES, is_of_vllm


def test_variables_of_this_version_and_of_older_ones_are_told_from_others() -> None:
    assert is_of_vllm("VLLM_LOGGING_LEVEL")
    assert is_of_vllm("VLLM_USE_V1")
    assert not is_of_vllm("VLLM_MODEL_NAME")
    assert NAMES.isdisjoint(GONE)
