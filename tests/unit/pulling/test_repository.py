import httpx
import pytest

from vllmd.pulling.repository import Hub, PullError, RemoteFile, Repository

MODEL = Repository("org/m", "abc", ())


def hub(token: str | None = None, **env: str) -> Hub:
    return Hub(httpx.Client(), env, token)


def test_url_is_quoted_and_of_the_endpoint() -> None:
    file = RemoteFile("a b/c#d.json", 1, "ab")
    assert hub().url(MODEL, file) == "https://huggingface.co/org/m/resolve/abc/a%20b/c%23d.json"
    mirror = hub(HF_ENDPOINT="https://mirror.example/").url(MODEL, file)
    assert mirror.startswith("https://mirror.example/org/m/")


def test_token_is_in_the_headers_and_in_no_error() -> None:
    asked = hub("planted-token")
    assert asked.headers == {"Authorization": "Bearer planted-token"}
    assert hub().headers == {}
    for code in (401, 403, 404, 500):
        with pytest.raises(PullError) as caught:
            asked.refuse(httpx.Response(code), "org/m", "main")
        assert "planted" not in str(caught.value)


def test_answer_that_is_one_is_not_refused() -> None:
    for code in (200, 206, 302):
        hub().refuse(httpx.Response(code), "org/m", "main")


def test_name_of_a_blob_is_its_hash() -> None:
    assert RemoteFile("a", 1, "git").name == "git"
    assert RemoteFile("a", 1, "git", "sha").name == "sha"
