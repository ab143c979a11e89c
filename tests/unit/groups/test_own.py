from vllmd.groups.own import Identity


def test_identity_is_compared_by_what_it_says() -> None:
    assert Identity("abc", "0.32.0") == Identity("abc", "0.32.0")
    assert Identity("abc").vllm is None
