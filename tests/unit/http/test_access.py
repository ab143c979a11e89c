import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock, LateClock
from tests.helpers.web import PASSWORD, TLS, USERS, write
from vllmd.http.access import Access, Limit, LoginRefusals, is_readiness, read_login
from vllmd.http.passwords import LoginResult, Passwords
from vllmd.http.web_config import RateLimit
from vllmd.http.web_file import WebFile

GOOD = ("prometheus", PASSWORD)


class Scripted(Passwords):
    """Passwords whose verdicts a test gives."""

    def __init__(self, clock: FakeClock, verdict: LoginResult | None = None) -> None:
        super().__init__(clock)
        self.given = verdict
        self.asked: list[tuple[str, bytes, str]] = []

    async def verdict(self, users: Any, user: str, password: bytes, address: str) -> LoginResult:
        self.asked.append((user, password, address))
        right = (user, password) == (GOOD[0], GOOD[1].encode())
        return self.given or (LoginResult.ACCEPTED if right else LoginResult.WRONG)


def client_for(
    path: Path,
    *,
    https: bool = False,
    verdict: LoginResult | None = None,
    open_readiness: bool = False,
) -> TestClient:
    clock = FakeClock()
    app = Access(
        PlainTextResponse("the page\n"),
        WebFile(path, LateClock()),
        Scripted(clock, verdict),
        clock,
        open_readiness=open_readiness,
    )
    return TestClient(app, base_url="https://testserver" if https else "http://testserver")


def test_empty_file_lets_everybody_in(tmp_path: Path) -> None:
    client = client_for(write(tmp_path, ""))
    assert client.get("/metrics").text == "the page\n"


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/status.json", "/runbooks/", "/-/healthy", "/ready/chat", "/x"]
)
def test_users_are_asked_for_on_every_page(tmp_path: Path, path: str) -> None:
    client = client_for(write(tmp_path, USERS))
    none = client.get(path)
    assert none.status_code == 401
    assert none.headers["www-authenticate"] == 'Basic realm="vllmd", charset="UTF-8"'
    assert none.text == "a user and a password are needed\n"
    wrong = client.get(path, auth=("prometheus", "wrong"))
    assert wrong.status_code == 401
    assert wrong.text == "the user or the password is wrong\n"
    assert client.get(path, auth=GOOD).text == "the page\n"


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT"])
def test_users_are_asked_for_whatever_the_method(tmp_path: Path, method: str) -> None:
    client = client_for(write(tmp_path, USERS))
    assert client.request(method, "/-/healthy").status_code == 401


def test_open_readiness_leaves_only_the_checks_open(tmp_path: Path) -> None:
    client = client_for(write(tmp_path, USERS), open_readiness=True)
    for path in ("/-/healthy", "/-/ready", "/-/started", "/ready/chat", "/started/chat"):
        assert client.get(path).status_code == 200, path
    for path in (
        "/",
        "/metrics",
        "/status.json",
        "/runbooks/",
        "/ready/chat/more",
        "/-/healthy/x",
        "/-/other",
    ):
        assert client.get(path).status_code == 401, path


def test_too_many_waiting_are_told_to_come_again(tmp_path: Path) -> None:
    client = client_for(write(tmp_path, USERS), verdict=LoginResult.BUSY)
    answer = client.get("/metrics", auth=GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.text == "too many passwords wait to be checked\n"


def test_file_that_never_could_be_used_lets_nobody_in(tmp_path: Path) -> None:
    client = client_for(tmp_path / "gone.yml", open_readiness=True)
    for path in ("/metrics", "/-/healthy"):
        answer = client.get(path, auth=GOOD)
        assert answer.status_code == 503
        assert answer.text == "the web configuration cannot be used: 'vllmd status' says why\n"


def test_plain_connection_is_refused_where_tls_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, TLS)
    answer = client_for(path).get("/metrics")
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert client_for(path, https=True).get("/metrics").status_code == 200


def test_headers_are_in_every_answer(tmp_path: Path) -> None:
    headers = "http_server_config: {headers: {X-Frame-Options: deny}}\n"
    client = client_for(write(tmp_path, headers + USERS))
    assert client.get("/").headers["x-frame-options"] == "deny"
    assert client.get("/", auth=GOOD).headers["x-frame-options"] == "deny"


def test_change_of_the_file_holds_for_the_next_request(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    client = client_for(path)
    assert client.get("/").status_code == 200
    path.write_text(USERS)
    assert client.get("/").status_code == 401
    path.write_text("basic_auth_users: 1\n")
    assert client.get("/").status_code == 401


def test_rate_limit_holds_requests_back(tmp_path: Path) -> None:
    client = client_for(write(tmp_path, "rate_limit: {interval: 1s, burst: 2}\n"))
    codes = [client.get("/").status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]


def test_limit_gives_one_more_each_interval_up_to_the_burst() -> None:
    clock = FakeClock()
    limit, made = RateLimit(0.5, 2), Limit(clock)
    assert [made.allows(limit) for _ in range(3)] == [True, True, False]
    clock.now += 0.4
    assert not made.allows(limit)
    clock.now += 0.1
    assert [made.allows(limit) for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [made.allows(limit) for _ in range(3)] == [True, True, False]
    assert made.allows(RateLimit(1, 1))


def test_refusals_are_said_at_once_and_then_once_a_minute_with_a_count() -> None:
    clock = FakeClock()
    refusals = LoginRefusals(clock)
    with capture_logs() as logs:
        for second in range(120):
            for _ in range(1000):
                refusals.count(f"10.0.0.{second}")
            clock.now += 1
    assert [(log["event"], log["count"], log["last_address"]) for log in logs] == [
        ("login.refused", 1, "10.0.0.0"),
        ("login.refused", 60_000, "10.0.0.60"),
    ]


def test_wrong_logins_are_said_without_user_or_password(tmp_path: Path) -> None:
    client = client_for(write(tmp_path, USERS))
    with capture_logs() as logs:
        client.get("/", auth=("mallory", "hunter2"))
    assert "mallory" not in str(logs)
    assert "hunter2" not in str(logs)
    assert len(logs) == 1


def _basic(value: bytes) -> str:
    return f"Basic {base64.b64encode(value).decode()}"


@pytest.mark.parametrize(
    ("header", "login"),
    [
        (_basic(b"ann:p:w"), ("ann", b"p:w")),
        (_basic(b"ann:p").replace("Basic", "bAsIc"), ("ann", b"p")),
        (_basic("ä:ö".encode()), ("ä", "ö".encode())),
        (_basic(b"\xff:\0"), ("\udcff", b"\0")),
        (_basic(b":"), ("", b"")),
        (_basic(b"nocolon"), None),
        ("Basic", None),
        ("Basic !!!", None),
        ("Basic ä", None),
        ("Bearer abc", None),
        ("", None),
    ],
)
def test_login_is_read_from_the_header(header: str, login: tuple[str, bytes] | None) -> None:
    assert read_login(header) == login


def test_readiness_is_the_three_checks_and_nothing_else() -> None:
    assert all(is_readiness(path) for path in ("/-/healthy", "/-/ready", "/ready/a"))
    assert not any(
        is_readiness(path)
        for path in ("/", "/metrics", "/status.json", "/-/", "/ready", "/ready/a/b")
    )
