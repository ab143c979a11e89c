import pytest

from vllmd.bundle.anonymous import PROMPT, Anonymizer, names_of_host, users_of_host
from vllmd.util.redact import Redactor

CLEAN = Anonymizer(Redactor(["planted-secret"]), ["ann", "root", "x"], ["gpu7", "gpu7.example.org"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("HF_TOKEN=planted-secret", "HF_TOKEN=********"),
        ("/home/bob/models of ann", "/home/USER/models of USER"),
        ("root runs max_model_len on x", "root runs max_model_len on x"),
        ("annual channel ann-b", "annual channel ann-b"),
        ("host gpu7.example.org, GPU7: up", "host HOST, HOST: up"),
        ("from 10.1.2.3:44 to 127.0.0.1 and 0.0.0.0", "from ADDRESS:44 to 127.0.0.1 and 0.0.0.0"),
        ("via 2001:db8:1:2:3:4:5:6 at 03:15:07", "via ADDRESS at 03:15:07"),
        ("vLLM 0.32.0, torch 2.11.0+cpu", "vLLM 0.32.0, torch 2.11.0+cpu"),
        ("mail bob.b@example.org", "mail MAIL"),
        ("\x1b]0;t\x07 planted\x1b-secret\n", "\\x1b]0;t\\x07 planted\\x1b-secret\n"),
    ],
)
def test_text_loses_what_is_private_and_keeps_the_rest(text: str, clean: str) -> None:
    assert CLEAN.text(text) == clean


@pytest.mark.parametrize(
    "line",
    [  # as vllm/entrypoints/serve/utils/request_logger.py of 0.32 prints them
        "DEBUG [request_logger.py:54] Request cmpl-1 details: prompt: 'my diary', "
        "prompt_token_ids: [1, 2], prompt_embeds shape: None.",
        'DEBUG Request chatcmpl-1 JSON body: {"messages": [{"content": "my diary"}]}',
        "INFO Generated response cmpl-1: output: 'my diary', output_token_ids: [1]",
        "INFO Received request cmpl-2: prompt: 'my diary', params: SamplingParams(n=1)",
        "pydantic: input={'messages': [{'role': 'user', 'content': 'my diary'}]}",
        '{"prompt": "my diary", "n": 1}',
    ],
)
def test_text_loses_prompts_and_answers(line: str) -> None:
    assert "diary" not in CLEAN.text(line)
    assert PROMPT in CLEAN.text(line)
    assert CLEAN.text(f"{line}\nnext line").endswith("\nnext line")


@pytest.mark.parametrize(
    "line",
    [
        "Avg prompt throughput: 10.5 tokens/s, Avg generation throughput: 3.2 tokens/s",
        "vllm:prompt_tokens_total 5",
        "output = engine.step()",
        '{"text": "exited with code 0", "kind": "transient"}',
    ],
)
def test_text_keeps_what_only_speaks_of_prompts(line: str) -> None:
    assert CLEAN.text(line) == line


def test_names_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "gpu7.example.org")
    monkeypatch.setenv("SUDO_USER", "ann")
    assert {"gpu7", "gpu7.example.org"} <= names_of_host()
    assert "ann" in users_of_host()
