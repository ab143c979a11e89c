"""What an engine is asked. Pure.

Short texts of different kinds, so that different weights are used; another text is another
`VERSION`, and needs another reference.
"""

from typing import Any

from vllmd.config.probe import TOP

VERSION = 1
PROMPTS = (
    "The capital of France is Paris. The capital of Italy is Rome. The capital of Japan is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "1, 2, 4, 8, 16, 32, 64, 128, 256,",
    'Die Katze sitzt auf dem Dach. In English: "The cat is',
    "Water boils at 100 degrees. If a train leaves at 9:40 and takes 35 minutes, it arrives at",
)
ANSWER_TOKENS = 16


def request(model: str, prompt: str, salt: str) -> dict[str, Any]:
    """Return the body of one request to /v1/completions; `salt` is another one for each.

    By the salt nothing is read from the prefix cache, which would hide a prefill that is wrong.
    Probabilities of the prompt (`prompt_logprobs`) are not asked for: with LoRA they end the engine
    (vLLM 0.32 CPU build, seen; https://github.com/vllm-project/vllm/issues/29955 on a GPU).
    """
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "logprobs": TOP,
        "ignore_eos": True,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "cache_salt": salt,
    }
