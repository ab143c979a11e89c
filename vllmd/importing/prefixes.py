"""What stands before a command: ``env``, ``nohup``, ``numactl``, ``conda run``. Pure."""

import re
from collections.abc import Callable, Iterable

import attrs

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh"})
_USER = "user {}: engines run as user vllmd: let it read the model, the adapters and the cache"


@attrs.define
class Peeled:
    """A command without what stood before it, and what that did."""

    words: list[str]
    variables: dict[str, str] = attrs.field(factory=dict)
    removed: set[str] = attrs.field(factory=set)
    """Variables that it is not given."""
    clean: bool = False
    """It is given no variables but those."""
    folder: str | None = None
    wrapper: list[str] = attrs.field(factory=list)
    """What stays before the program, as it binds it to processors or memory."""
    remarks: list[str] = attrs.field(factory=list)
    script: str | None = None
    """What a shell was given to read, in place of words."""
    file: list[str] | None = None
    """A script and its arguments, in place of words."""
    environment: str | None = None
    """The folder of programs that are found first."""
    stdin: bool = False
    """A shell reads its standard input."""
    host: str = ""
    """Another host, on which it is run."""
    session: str = ""
    """The terminal whose shell goes on with it."""
    files: list[str] = attrs.field(factory=list)
    """Files of variables that it is given; one with a dash before it need not be there."""
    keeps: bool = False
    """What is set already goes before what these files have."""
    sudo: bool = False
    """Another user runs it, with a part of the variables only."""


def peel(words: list[str]) -> Peeled:
    """Return a command without what stands before it."""
    peeled = Peeled(list(words))
    while peeled.words and peeled.script is None and peeled.file is None:
        assigned = _ASSIGNMENT.fullmatch(peeled.words[0])
        if assigned:
            peeled.variables[assigned[1]] = assigned[2]
            peeled.words.pop(0)
            continue
        take = _TABLE.get(peeled.words[0].rsplit("/", 1)[-1])
        before = len(peeled.words)
        if take is None:
            break
        take(peeled)
        if len(peeled.words) == before:
            break
    return peeled


def take_options(words: list[str], takes: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Take the options off the begin of words; `takes` are those with a value."""
    found = []
    known = frozenset(takes)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        short = word[:2] if word[:2] in known and not word.startswith("--") else ""
        if equals and name.startswith("--"):
            found.append((name, value))
        elif word in known and words:
            found.append((word, words.pop(0)))
        elif short:
            found.append((short, word[2:]))
        elif re.fullmatch(r"-[A-Za-z]+", word) and f"-{word[-1]}" in known and words:
            found.append((f"-{word[-1]}", words.pop(0)))  # flags, and one with a value
        else:
            found.append((word, ""))
    return found


def _plain(*takes: str) -> Callable[[Peeled], None]:
    """Make what takes a word and its options off, without any effect on the engine."""

    def take(peeled: Peeled) -> None:
        peeled.words.pop(0)
        take_options(peeled.words, takes)

    return take


def _binding(*takes: str, positional: bool = False) -> Callable[[Peeled], None]:
    """Make what keeps a word and its options before the program."""

    def take(peeled: Peeled) -> None:
        before = list(peeled.words)
        peeled.words.pop(0)
        take_options(peeled.words, takes)
        if positional and peeled.words:
            peeled.words.pop(0)
        peeled.wrapper += before[: len(before) - len(peeled.words)]

    return take


def _env(peeled: Peeled) -> None:
    peeled.words.pop(0)
    for name, value in take_options(peeled.words, ("-u", "-C", "--chdir", "--unset", "-S")):
        match name:
            case "-i" | "--ignore-environment":
                peeled.clean = True
            case "-u" | "--unset":
                peeled.removed.add(value)
            case "-C" | "--chdir":
                peeled.folder = value
            case "-S" | "--split-string":
                peeled.words[:0] = value.split()


def _sudo(peeled: Peeled) -> None:
    takes = ("-u", "-g", "-p", "-C", "-D", "-h", "-r", "-t", "-T", "-U", "--user", "--chdir")
    before = list(peeled.words)
    peeled.words.pop(0)
    options = take_options(peeled.words, takes)
    given = before[1 : len(before) - len(peeled.words)]
    keeps = any(re.match(r"--preserve-env|-[A-Za-z]*E", each) for each in given)
    peeled.sudo = before[0].endswith("sudo") and not keeps
    for name, value in options:
        if name in ("-u", "--user"):
            peeled.remarks.append(_USER.format(value))
        elif name in ("-D", "--chdir"):
            peeled.folder = value


def _as_user(peeled: Peeled) -> None:
    peeled.words.pop(0)
    options = take_options(peeled.words, ("-u", "-c", "--command", "-s", "-g", "--user"))
    given = dict(options)
    user = given.get("-u") or given.get("--user")
    if user is None:
        while peeled.words[:1] == ["-"]:
            peeled.words.pop(0)
        user = peeled.words.pop(0) if peeled.words else "root"
        given |= take_options(peeled.words, ("-c", "--command", "-s"))
    peeled.remarks.append(_USER.format(user))
    script = given.get("-c") or given.get("--command")
    if script is not None:
        peeled.script = script


def _chpst(peeled: Peeled) -> None:
    """Take off runit's prefix. Source: chpst(8)."""
    peeled.words.pop(0)
    takes = ("-u", "-U", "-b", "-e", "-/", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f", "-c")
    for name, value in take_options(peeled.words, (*takes, "-t", "-C")):
        if name == "-u":
            peeled.remarks.append(_USER.format(value))
        elif name == "-C":
            peeled.folder = value
        elif name == "-e":
            peeled.remarks.append(f"left out: the variables of the folder {value}: write them")
        elif value:
            peeled.remarks.append(
                f"{name} {value}: limits of the unit: systemctl edit vllmd-engine@NAME sets them"
            )


def _timeout(peeled: Peeled) -> None:
    peeled.words.pop(0)
    take_options(peeled.words, ("-k", "-s", "--kill-after", "--signal"))
    if peeled.words:
        time = peeled.words.pop(0)
        peeled.remarks.append(f"timeout {time}: vllmd ends no engine after a time: a timer may")


def _systemd_run(peeled: Peeled) -> None:
    peeled.words.pop(0)
    takes = (
        *("-p", "--property", "-u", "--unit", "-E", "--setenv", "--uid", "--gid", "--slice"),
        *("--working-directory", "--description", "-M", "-H", "--nice", "--service-type"),
    )
    for name, value in take_options(peeled.words, takes):
        match name:
            case "-p" | "--property":
                key, _, setting = value.partition("=")
                if key == "Environment":
                    name_set, _, value_set = setting.strip("\"'").partition("=")
                    peeled.variables[name_set] = value_set
                elif key == "EnvironmentFile":
                    peeled.files.append(setting)
                elif key == "WorkingDirectory":
                    peeled.folder = setting
                elif key == "Restart":
                    peeled.remarks.append(
                        "Restart=: vllmd restarts an engine whatever its exit code, by its cause"
                    )
                else:
                    peeled.remarks.append(
                        f"{value}: limits of the unit: systemctl edit vllmd-engine@NAME sets them"
                    )
            case "-E" | "--setenv" if "=" in value:
                name_set, _, value_set = value.partition("=")
                peeled.variables[name_set] = value_set
            case "--uid":
                peeled.remarks.append(_USER.format(value))
            case "--working-directory":
                peeled.folder = value


def _shell(peeled: Peeled) -> None:
    words = peeled.words
    del words[0]
    reads_text = False
    while words and words[0][:1] in ("-", "+") and len(words[0]) > 1:
        option = words.pop(0)
        if option == "--":
            break
        if option == "--login" or (not option.startswith("--") and "l" in option):
            peeled.remarks.append(
                "a login shell reads the profile of who ran it, which is not looked into: what it "
                "sets is to be set for the engine"
            )
        if not option.startswith("--") and "c" in option:
            reads_text = True
        elif option in ("-o", "+o", "-O", "--rcfile", "--init-file") and words:
            words.pop(0)
    if reads_text and words:
        peeled.script = words[0]
        peeled.file = words[2:]  # what the text has as $1 and the following
    elif words:
        peeled.file = list(words)
    else:
        peeled.stdin = True


def _uv(peeled: Peeled) -> None:
    words = peeled.words
    tool = words[1:2] == ["tool"]
    if words[1:2] != ["run"] and words[1:3] != ["tool", "run"]:
        return
    del words[: 3 if tool else 2]
    _uv_options(peeled, "uv tool run" if tool else "uv run")


def _uv_options(peeled: Peeled, name: str) -> None:
    takes = (
        *("--with", "-p", "--python", "--project", "--directory", "--extra", "--group", "--from"),
        *("--env-file", "--index-url", "--extra-index-url", "--index", "--with-editable", "-w"),
        *("--with-requirements", "--torch-backend", "--prerelease", "--index-strategy"),
    )
    options = take_options(peeled.words, takes)
    folders = [value for key, value in options if key == "--directory"]
    peeled.files += [value for key, value in options if key == "--env-file"]
    peeled.keeps = bool(peeled.files)
    peeled.folder = folders[-1] if folders else peeled.folder
    extra = ", ".join(f"{key} {value}".strip() for key, value in options if key != "--directory")
    peeled.remarks.append(
        f"{name}{f' ({extra})' if extra else ''}: vLLM is of an environment that uv keeps: "
        "'vllmd engine install' makes one, 'vllmd engine adopt FOLDER/.venv' takes that one"
    )


def _uvx(peeled: Peeled) -> None:
    peeled.words.pop(0)
    _uv_options(peeled, "uvx")


def _project(*before: str) -> Callable[[Peeled], None]:
    def take(peeled: Peeled) -> None:
        if tuple(peeled.words[1 : 1 + len(before)]) != before:
            return
        name = " ".join(peeled.words[: 1 + len(before)])
        del peeled.words[: 1 + len(before)]
        take_options(peeled.words, ("-e", "--environment", "-C", "--directory"))
        peeled.remarks.append(
            f"{name}: vLLM is of the project's environment: 'vllmd engine adopt FOLDER' takes it"
        )
        if name == "pipenv run":  # Source: pipenv's documentation, "Automatic Loading of .env"
            peeled.files.append("-.env")
            peeled.keeps = True

    return take


def _conda(peeled: Peeled) -> None:
    if peeled.words[1:2] != ["run"]:
        return
    del peeled.words[:2]
    options = dict(take_options(peeled.words, ("-n", "--name", "-p", "--prefix", "--cwd")))
    peeled.folder = options.get("--cwd", peeled.folder)
    if path := options.get("-p") or options.get("--prefix"):
        peeled.environment = f"{path}/bin"
    else:
        name = options.get("-n") or options.get("--name") or "base"
        peeled.remarks.append(of_conda(name))


def of_conda(name: str) -> str:
    """Say what becomes of a conda environment that is named, and whose folder is not known."""
    return (
        f"conda environment {name!r}: 'conda env list' says where it is; 'vllmd engine adopt "
        "FOLDER' takes it"
    )


def _tmux(peeled: Peeled) -> None:
    words = peeled.words[1:]
    if words[:1] and words[0] in ("new-session", "new", "new-window", "neww", "split-window"):
        del words[0]
        options = take_options(words, ("-s", "-n", "-c", "-t", "-x", "-y", "-e", "-F"))
        given = dict(options)
        peeled.folder = given.get("-c", peeled.folder)
        for _, assigned in (each for each in options if each[0] == "-e"):
            name, _, value = assigned.partition("=")
            peeled.variables[name] = value
        if not words:  # keys that are sent there are run in that folder
            peeled.session = _pane(given.get("-s") or given.get("-t") or "")
    elif words[:1] and words[0] in ("send-keys", "send"):
        del words[0]
        peeled.session = _pane(dict(take_options(words, ("-t",))).get("-t", ""))
        while words and words[-1] in ("C-m", "Enter", "ENTER", "KPEnter"):
            words.pop()
    else:
        return
    peeled.remarks.append("tmux: vllmd keeps the engine running by itself, and its output")
    peeled.script = " ".join(words)


def _pane(target: str) -> str:
    """Return which terminal of tmux a target is: ``NAME``, ``NAME:0`` and ``NAME:0.0`` are one."""
    return f"tmux {re.sub(r'(:0?)?([.]0)?$', '', target)}"


def _screen(peeled: Peeled) -> None:
    words = peeled.words[1:]
    options = take_options(words, ("-S", "-t", "-c", "-h", "-p", "-X", "-dmS", "-Sdm", "-L"))
    if any(name == "-X" for name, _ in options):
        return
    peeled.remarks.append("screen: vllmd keeps the engine running by itself, and its output")
    peeled.words = words


def _ssh(peeled: Peeled) -> None:
    words = peeled.words[1:]
    take_options(words, ("-p", "-i", "-l", "-o", "-F", "-J", "-L", "-R", "-D", "-b", "-c", "-w"))
    if words:
        peeled.host = words.pop(0)
    peeled.remarks.append(
        "ssh and the like: what runs on another host belongs into the configuration there; take "
        "its table out of this one"
    )
    peeled.script = " ".join(words)


_TABLE: dict[str, Callable[[Peeled], None]] = {
    **dict.fromkeys(("nohup", "setsid", "command", "builtin", "unbuffer", "dumb-init"), _plain()),
    **dict.fromkeys(("catchsegv", "tini", "catatonit", "systemd-cat"), _plain("-t", "-p")),
    "exec": _plain("-a"),
    "time": _plain("-f", "-o"),
    "stdbuf": _plain("-o", "-e", "-i"),
    "nice": _binding("-n", "--adjustment"),
    "ionice": _binding("-c", "-n", "--class", "--classdata"),
    "taskset": _binding(positional=True),
    "chrt": _binding(positional=True),
    "prlimit": _binding(),
    "numactl": _binding(
        *("-i", "-N", "-C", "-m", "-p", "--interleave", "--cpunodebind", "--physcpubind"),
        *("--membind", "--preferred", "-P", "--preferred-many", "-w", "--weighted-interleave"),
    ),
    "env": _env,
    "sudo": _sudo,
    "doas": _sudo,
    **dict.fromkeys(("su", "runuser", "gosu", "su-exec", "setuidgid", "s6-setuidgid"), _as_user),
    "chpst": _chpst,
    "timeout": _timeout,
    "systemd-run": _systemd_run,
    **dict.fromkeys(SHELLS, _shell),
    "uv": _uv,
    "uvx": _uvx,
    **dict.fromkeys(("poetry", "pdm", "pixi", "pipenv", "rye", "hatch", "pipx"), _project("run")),
    **dict.fromkeys(("conda", "mamba", "micromamba"), _conda),
    "tmux": _tmux,
    "screen": _screen,
    **dict.fromkeys(("ssh", "pdsh"), _ssh),
}
