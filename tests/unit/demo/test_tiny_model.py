"""What it makes is loaded by the real vLLM in tests/engine; here is what needs no torch."""

from vllmd.demo import tiny_model


def test_sizes_fit_each_other() -> None:
    assert tiny_model.VOCABULARY % 64 == 0
    assert 256 + len(tiny_model.SPECIAL) <= tiny_model.VOCABULARY
    assert tiny_model.HEADS * tiny_model.HEAD_DIM == tiny_model.HIDDEN
    assert tiny_model.HEADS % tiny_model.KV_HEADS == 0
    assert tiny_model.RANK == 8
