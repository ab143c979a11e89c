"""What stands before a command, and what it does."""

import shlex

import pytest

from vllmd.importing.prefixes import of_conda, peel

SERVE = ["vllm", "serve", "m"]


@pytest.mark.parametrize(
    "line",
    [
        "nohup",
        "exec -a name",
        "setsid -f",
        "stdbuf -oL -eL",
        "time -p",
        "timeout -k 5 3600",
        "sudo -u llm -H",
        "gosu llm",
        "runuser -u llm --",
        "uv run --no-sync --with vllm",
        "uv tool run",
        "uvx --from vllm",
        "poetry run",
        "conda run -n x --live-stream",
        "systemd-run --scope -p MemoryMax=90%",
        "screen -dmS vllm",
        "env -u X",
    ],
)
def test_prefix_is_taken_off(line: str) -> None:
    assert peel([*shlex.split(line), *SERVE]).words == SERVE


@pytest.mark.parametrize("line", ["numactl -N 0 -m 0", "taskset -c 0-7", "nice -n 5", "chrt -f 10"])
def test_what_binds_the_program_stays_before_it(line: str) -> None:
    peeled = peel([*line.split(), *SERVE])
    assert (peeled.wrapper, peeled.words) == (line.split(), SERVE)


def test_variables_and_folders_are_known() -> None:
    peeled = peel(
        shlex.split("A=1 env -C /srv B=2 systemd-run -E C=3 -p Environment=D=4 vllm serve m")
    )
    assert peeled.variables == {"A": "1", "B": "2", "C": "3", "D": "4"}
    assert peeled.folder == "/srv"
    assert peel(["env", "-i", "X=1", *SERVE]).clean
    assert peel(["conda", "run", "-p", "/envs/x", *SERVE]).environment == "/envs/x/bin"


def test_shells_have_a_script_or_a_file() -> None:
    assert peel(["bash", "-lc", "vllm serve m", "x", "1"]).script == "vllm serve m"
    assert peel(["sh", "-e", "run.sh", "a"]).file == ["run.sh", "a"]
    assert peel(["bash", "-s"]).stdin
    assert peel(["su", "-", "llm", "-c", "vllm serve m"]).script == "vllm serve m"
    assert peel(["ssh", "-p", "22", "host", *SERVE]).script == "vllm serve m"
    assert peel(["tmux", "send-keys", "-t", "x", "vllm serve m", "C-m"]).script == "vllm serve m"


def test_user_limits_and_environments_are_said() -> None:
    assert "user llm" in peel(["sudo", "-u", "llm", *SERVE]).remarks[0]
    assert "MemoryMax=90%" in peel(["systemd-run", "-p", "MemoryMax=90%", *SERVE]).remarks[0]
    assert peel(["conda", "run", "-n", "x", *SERVE]).remarks == [of_conda("x")]
    assert peel(["uv", "pip", "install"]).words == ["uv", "pip", "install"]


def test_keys_go_to_the_shell_of_a_terminal() -> None:
    same = {
        peel(shlex.split(f"tmux send-keys -t {t} x Enter")).session for t in ("l", "l:0", "l:0.0")
    }
    assert same == {"tmux l"}
    assert peel(shlex.split("tmux send-keys -t l:1 x Enter")).session == "tmux l:1"
    made = peel(shlex.split("tmux new -d -s l -c /srv -e A=1"))
    assert (made.session, made.folder, made.variables) == ("tmux l", "/srv", {"A": "1"})


def test_login_shell_and_restarts_of_a_transient_unit_are_said() -> None:
    assert "a login shell reads the profile" in peel(["bash", "-lc", "x"]).remarks[0]
    assert not peel(["bash", "-c", "x"]).remarks
    (said,) = peel(shlex.split("systemd-run -p Restart=always vllm serve m")).remarks
    assert said.startswith("Restart=: vllmd restarts")


def test_flags_of_one_letter_may_be_written_with_one_that_has_a_value() -> None:
    peeled = peel(["sudo", "-niu", "llm", *SERVE])
    assert (peeled.words, peeled.sudo) == (SERVE, True)
    assert not peel(["sudo", "-Eu", "llm", *SERVE]).sudo
    assert peel(["su", "-", "llm", "-lc", "vllm serve m"]).script == "vllm serve m"


def test_files_of_variables_are_kept() -> None:
    assert peel(["uv", "run", "--env-file=a", "--env-file", "b", *SERVE]).files == ["a", "b"]
    assert peel(["systemd-run", "-p", "EnvironmentFile=-/c", *SERVE]).files == ["-/c"]
