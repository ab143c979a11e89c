import asyncio
import contextlib
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from tests.helpers.clock import FakeClock, settle
from tests.helpers.web import HASH, PASSWORD
from vllmd.http import passwords
from vllmd.http.passwords import LoginCache, LoginResult, Passwords, client_of, dummy, in_thread
from vllmd.http.web_config import hash_problem

USERS = {"ann": HASH}


class Checks:
    """Stands for bcrypt: each check waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self.at_once = self.most_at_once = 0
        self._go = threading.Semaphore(0)

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.append((password, hashed))
        assert self._go.acquire(timeout=10)
        self.at_once -= 1
        return password == b"right"

    def let_go(self, count: int = 1) -> None:
        self._go.release(count)


@pytest.fixture
def checks() -> Iterator[Checks]:
    made = Checks()
    yield made
    made.let_go(100)


def ask(
    made: Passwords, password: str, address: str = "10.0.0.1", user: str = "ann"
) -> asyncio.Task[LoginResult]:
    return asyncio.create_task(made.verdict(USERS, user, password.encode(), address))


async def end_of(task: asyncio.Task[LoginResult], clock: FakeClock) -> LoginResult:
    """Wait for a verdict, letting the rests after wrong ones pass."""
    while not task.done():
        await clock.advance(10)
        await asyncio.wait({task}, timeout=0.001)
    return task.result()


async def test_password_is_checked_by_bcrypt() -> None:
    clock = FakeClock()
    made = Passwords(clock)
    assert await end_of(ask(made, PASSWORD), clock) is LoginResult.ACCEPTED
    assert await end_of(ask(made, "wrong"), clock) is LoginResult.WRONG
    assert await end_of(ask(made, PASSWORD, user="bob"), clock) is LoginResult.WRONG
    assert await end_of(ask(made, "fakepassword", user="bob"), clock) is LoginResult.WRONG
    assert await end_of(ask(made, "nul\0nul"), clock) is LoginResult.WRONG
    assert await end_of(ask(made, "x" * 100_000), clock) is LoginResult.WRONG


async def test_password_longer_than_bcrypt_looks_at_is_cut_as_go_cuts_it() -> None:
    clock = FakeClock()
    long = "x" * 80
    hashed = bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode()
    made = Passwords(clock)
    assert await made.verdict({"a": hashed}, "a", long.encode(), "") is LoginResult.ACCEPTED


async def test_result_good_or_wrong_is_remembered(checks: Checks) -> None:
    clock = FakeClock()
    remembered = LoginCache()
    made = Passwords(clock, remembered, checks)
    checks.let_go(2)
    assert await end_of(ask(made, "right"), clock) is LoginResult.ACCEPTED
    assert await end_of(ask(made, "wrong"), clock) is LoginResult.WRONG
    for _ in range(3):
        assert await ask(made, "right") is LoginResult.ACCEPTED
        assert await ask(made, "wrong") is LoginResult.WRONG
    assert len(checks.asked) == 2
    assert remembered.counts == {LoginResult.ACCEPTED: 4, LoginResult.WRONG: 4}
    assert await Passwords(clock, remembered, checks).verdict(USERS, "ann", b"right", "") is (
        LoginResult.ACCEPTED
    )


async def test_result_is_forgotten_when_the_hash_changes(checks: Checks) -> None:
    made = Passwords(FakeClock(), check=checks)
    checks.let_go(2)
    assert await ask(made, "right") is LoginResult.ACCEPTED
    other = HASH[:-1] + ("a" if HASH[-1] != "a" else "b")
    assert await made.verdict({"ann": other}, "ann", b"right", "") is LoginResult.ACCEPTED
    assert [hashed for _, hashed in checks.asked] == [HASH.encode(), other.encode()]


async def test_user_taken_out_is_let_in_no_more(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    checks.let_go(2)
    assert await ask(made, "right") is LoginResult.ACCEPTED
    gone = asyncio.create_task(made.verdict({}, "ann", b"right", ""))
    assert await end_of(gone, clock) is LoginResult.WRONG


def test_remembered_wrong_ones_push_out_no_good_one_and_are_bounded() -> None:
    remembered = LoginCache()
    good = remembered.key("ann", HASH, b"right")
    remembered.keep(good, LoginResult.ACCEPTED)
    for number in range(1000):
        remembered.keep(remembered.key("ann", HASH, b"%d" % number), LoginResult.WRONG)
    assert remembered.find(good) is LoginResult.ACCEPTED
    assert (len(remembered.good), len(remembered.wrong)) == (1, passwords.CACHED)


def test_remembered_keys_hold_no_password_and_mix_nothing_up() -> None:
    remembered = LoginCache()
    keys = {
        remembered.key("ab", "c", b"d"),
        remembered.key("a", "bc", b"d"),
        remembered.key("a", "b", b"cd"),
        LoginCache().key("ab", "c", b"d"),
        remembered.key("\udcff", "c", b"d"),
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}
    remembered.keep(remembered.key("ann", HASH, b"secret"), LoginResult.ACCEPTED)
    assert "secret" not in repr(remembered)


async def test_checks_run_one_at_a_time_in_order(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    tasks = [ask(made, f"wrong{n}", f"10.0.0.{n}") for n in range(5)]
    checks.let_go(5)
    for task in tasks:
        assert await end_of(task, clock) is LoginResult.WRONG
    assert checks.most_at_once == 1
    assert [password for password, _ in checks.asked] == [b"wrong%d" % n for n in range(5)]


async def test_after_a_wrong_one_the_thread_rests_after_a_good_one_not() -> None:
    clock = FakeClock()
    made = Passwords(clock)
    assert await ask(made, PASSWORD) is LoginResult.ACCEPTED
    assert clock.slept == []
    assert await end_of(ask(made, "wrong"), clock) is LoginResult.WRONG
    assert len(clock.slept) == 1
    assert 0 < clock.slept[0] <= passwords.LONGEST_REST_S


async def test_so_many_wait_and_the_rest_is_told_to_come_again(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    tasks = [ask(made, f"x{n}", f"10.0.{n}.1") for n in range(passwords.WAITING + 5)]
    await settle()
    busy = [task for task in tasks if task.done()]
    assert [task.result() for task in busy] == [LoginResult.BUSY] * 5
    assert made.waiting == passwords.WAITING
    checks.let_go(passwords.WAITING)
    for task in tasks:
        await end_of(task, clock)
    assert made.waiting == 0


async def test_one_client_takes_no_more_than_its_share_and_others_get_in(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    wrong = [ask(made, f"x{n}") for n in range(1000)]
    await settle()
    assert made.waiting == passwords.WAITING_OF_ONE
    good = ask(made, "right", "10.0.0.2")
    checks.let_go(passwords.WAITING_OF_ONE + 1)
    assert await end_of(good, clock) is LoginResult.ACCEPTED
    verdicts = [await end_of(task, clock) for task in wrong]
    assert verdicts.count(LoginResult.BUSY) == len(wrong) - passwords.WAITING_OF_ONE


async def test_guessing_from_many_addresses_keeps_no_new_login_out(checks: Checks) -> None:
    """Also right after a start, when nothing is remembered."""
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    addresses = [f"10.0.{n}.1" for n in range(24)]
    guesses = [ask(made, f"a{n}", a) for n, a in enumerate(addresses * 5)]
    await settle()
    first = ask(made, "right", "10.1.0.1")
    await settle()
    checks.let_go(len(addresses) + 1)
    assert await end_of(first, clock) is LoginResult.ACCEPTED
    for number in range(3):  # from then on, one check of theirs at most is before another's
        guesses += [ask(made, f"b{number}-{n}", a) for n, a in enumerate(addresses)]
        await settle()
        before, later = len(checks.asked), ask(made, f"c{number}", f"10.1.1.{number}")
        await settle()
        checks.let_go(2)
        assert await end_of(later, clock) is LoginResult.WRONG  # it was looked at
        order = [password for password, _ in checks.asked]
        assert order.index(b"c%d" % number) <= before + 1
    assert made.waiting <= passwords.WAITING
    checks.let_go(len(guesses))
    for guess in guesses:
        assert await end_of(guess, clock) in (LoginResult.WRONG, LoginResult.BUSY)
    assert made.waiting == 0


async def test_few_of_those_that_failed_wait(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    checks.let_go(30)
    for number in range(30):
        assert await end_of(ask(made, "x", f"10.0.{number}.1"), clock) is not LoginResult.BUSY
        made._remembered.wrong.clear()
    again = [ask(made, f"y{number}", f"10.0.{number}.1") for number in range(30)]
    await settle()
    assert made.waiting == passwords.WAITING_FAILED
    checks.let_go(30)
    found = [await end_of(task, clock) for task in again]
    assert found.count(LoginResult.BUSY) == 30 - passwords.WAITING_FAILED


async def test_same_login_that_comes_many_times_at_once_is_checked_once(checks: Checks) -> None:
    made = Passwords(FakeClock(), check=checks)
    tasks = [ask(made, "right") for _ in range(20)]
    checks.let_go()
    assert {await task for task in tasks} == {LoginResult.ACCEPTED}
    assert len(checks.asked) == 1


async def test_client_that_leaves_ends_no_check(checks: Checks) -> None:
    clock = FakeClock()
    made = Passwords(clock, check=checks)
    first = ask(made, "right")
    await settle()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    second = ask(made, "right")
    checks.let_go()
    assert await second is LoginResult.ACCEPTED
    assert len(checks.asked) == 1


def test_client_is_an_address_or_a_network_of_one_machine() -> None:
    assert client_of("10.0.0.1") != client_of("10.0.0.2")
    assert client_of("2001:db8:1:2::1") == client_of("2001:db8:1:2:ffff::9")
    assert client_of("2001:db8:1:2::1") != client_of("2001:db8:1:3::1")
    assert client_of("::ffff:10.0.0.1") == client_of("10.0.0.1")
    assert client_of("fe80::1%eth0") == client_of("fe80::2%eth0")
    assert client_of("") == ""
    assert client_of("not:an address") == "not:an address"


def test_dummy_costs_as_much_as_the_dearest_user() -> None:
    for users, cost in ((USERS, "04"), ({}, "10"), ({**USERS, "b": "$2y$12$x"}, "12")):
        made = dummy(users)
        assert made[4:6] == cost
        assert hash_problem(made) == ""


async def test_in_thread_work_that_fails_is_no_and_is_waited_for_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def fail() -> bool:
        raise BaseException("a panic of Rust is none of Exception")

    assert await in_thread(lambda: True)
    assert not await in_thread(fail)
    join_threads()
    assert len(told) == 1


async def test_without_a_thread_nobody_is_let_in_nor_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Passwords(FakeClock())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        assert await ask(made, PASSWORD) is LoginResult.BUSY
    assert await ask(made, PASSWORD) is LoginResult.ACCEPTED


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_in_thread_a_loop_that_ended_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    go = threading.Event()

    async def begin() -> None:
        asyncio.create_task(in_thread(go.wait))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(begin())
    go.set()
    join_threads()
    assert told == []


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "passwords":
            thread.join(10)
