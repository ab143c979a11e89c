from vllmd.probe.prompts import PROMPTS, request


def test_request_asks_for_probabilities_and_reads_no_prefix_cache() -> None:
    asked = request("chat", PROMPTS[0], "salt")
    assert asked["model"] == "chat"
    assert (asked["temperature"], asked["logprobs"], asked["cache_salt"]) == (0, 5, "salt")


def test_request_asks_for_none_of_the_prompt() -> None:
    """They end an engine with LoRA: vLLM 0.32."""
    assert "prompt_logprobs" not in request("chat", "a", "salt")


def test_prompts_are_several() -> None:
    assert len(set(PROMPTS)) == len(PROMPTS) > 3
