"""A unit of systemd with its drop-ins, as the command that it runs. Pure.

Source: systemd.service(5), systemd.exec(5), systemd.unit(5).
"""

import posixpath
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.ini import IniValue, settings_of
from vllmd.importing.surroundings import Notes, Surroundings, join, named_by
from vllmd.importing.unknown import Place, as_written, is_unknown, mark

_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
_SPECIFIERS = {"%": "%", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log"}
_SPECIFIERS |= {"E": "/etc", "T": "/tmp", "V": "/var/tmp"}
_EXPORTED = re.compile(r"^[ \t]*export[ \t]+\S.*$", re.MULTILINE)
_OF_NAME = {"i": "instance", "p": "prefix", "j": "last"}
"""Parts of a unit's name; as a capital, with what was escaped in it put back."""
_DONE_BY_VLLMD = {
    "Restart": "Restart=: vllmd restarts an engine whatever its exit code, by its cause",
    "TimeoutStopSec": "TimeoutStopSec=: see drain_s and stop_grace_s",
    "TimeoutSec": "TimeoutSec=: see drain_s and stop_grace_s",
    "TimeoutStartSec": "TimeoutStartSec=: a load has no limit here; see liveness.load_stall_s",
    "KillMode": "KillMode=: vllmd ends the whole tree, and proves that it is gone",
    "StandardOutput": "the log file: vllmd writes and rotates a log of its own",
    "StandardError": "the log file: vllmd writes and rotates a log of its own",
    "StandardOutputAppend": "the log file: vllmd writes and rotates a log of its own",
}
_HARMLESS = {"Type", "SyslogIdentifier", "RestartSec", "KillSignal", "SuccessExitStatus", "PIDFile"}
_HARMLESS |= {"RemainAfterExit", "NotifyAccess", "StartLimitIntervalSec", "StartLimitBurst"}
_HARMLESS |= {"SendSIGKILL", "GuessMainPID", "WatchdogSec", "FinalKillSignal", "ExitType"}
_TAKEN = {"ExecStart", "Environment", "EnvironmentFile", "WorkingDirectory", "UnsetEnvironment"}
_ESCAPE = r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-3][0-7]{2}|."
_OF_C = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+""", re.DOTALL)


@attrs.frozen
class UnitCommand:
    """What a unit runs."""

    words: tuple[str, ...]
    variables: Mapping[str, str]
    used: frozenset[str]
    """Variables that its own words had."""
    folder: str | None
    place: Place


def is_unit(text: str) -> bool:
    """Tell a unit from other files."""
    return bool(re.search(r"^\s*\[Service\]\s*$", text, re.MULTILINE)) and "ExecStart" in text


def command_of(text: str, path: str, around: Surroundings, notes: Notes) -> UnitCommand:
    """Return the command of a unit; what it asks for beside it is noted.

    `path` is the unit's own, or what stands for it where it has none.

    Raises: VllmdError: it runs nothing.
    """
    if is_of_system(text, path):
        around = attrs.evolve(around, manager_home="/root")
    settings = _service(text, path, around)
    _note(settings, notes)
    started = [each for each in settings if each.key == "ExecStart"]
    if not started:
        raise VllmdError(f"{path}: the unit has no ExecStart=")
    if len(started) > 1:
        notes.refuse(
            Place(started[1].source, started[1].line),
            "the unit starts several commands, one after the other: keep the one that serves",
        )
    variables = variables_of(settings, path, around, notes)
    start = started[0]
    prefix = re.match(r"[-@:+!|]*", start.value)
    assert prefix is not None
    line = start.value[prefix.end() :]
    words, used = [], set()
    for raw in split(line):
        made, names = [_unquoted(raw)], set[str]()
        if ":" not in prefix[0]:
            made, names = filled(raw, variables, Place(start.source, start.line))
        words += [specified(word, path, start, around) for word in made]
        used |= names
    if "@" in prefix[0] and len(words) > 1:
        del words[1]
    folder = _folder(settings, path, around)
    place = Place(start.source, start.line)
    return UnitCommand(tuple(words), variables, frozenset(used), folder, place)


def _service(text: str, path: str, around: Surroundings) -> list[IniValue]:
    """Return the settings of [Service] with the drop-ins."""
    sources = [(path, text), *drop_ins(path, around, _FOLDERS)]
    given = [each for source, content in sources for each in settings_of(content, source)]
    return in_force((each for each in given if each.section == "Service"), _SEVERAL)


def in_force(given: Iterable[IniValue], several: Container[str]) -> list[IniValue]:
    """Return the settings that count: an empty one takes back those of its key before.

    `several` are the keys that may be given more than once; of others the last counts.
    """
    found: list[IniValue] = []
    for each in given:
        if not each.value or each.key not in several:
            found = [other for other in found if other.key != each.key]
        if each.value:
            found.append(each)
    return found


_SEVERAL = {"ExecStart", "Environment", "EnvironmentFile", "ExecStartPre", "ExecStartPost"}
_SEVERAL |= {"ExecStop", "ExecStopPost", "UnsetEnvironment", "PassEnvironment", "DeviceAllow"}


def drop_ins(path: str, around: Surroundings, given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the drop-ins of a unit by their name; of the same name the first folder has it.

    They are looked for beside the unit, and in the `given` folders. Source: systemd.unit(5): also
    those of all units of a prefix (``a-b.service``: ``a-.service.d``) and of a kind
    (``service.d``).
    """
    name = posixpath.basename(path)
    stem, _, kind = name.rpartition(".")
    prefixes = [stem[: at + 1] for at in range(len(stem) - 1, -1, -1) if stem[at] == "-"]
    names = (name, re.sub(r"@[^.]*\.", "@.", name), *(f"{each}.{kind}" for each in prefixes), kind)
    folders = dict.fromkeys(
        f"{folder}/{each}.d"
        for each in dict.fromkeys(names)
        for folder in (posixpath.dirname(path), *given)
        if folder.startswith("/")
    )
    chosen: dict[str, str] = {}
    for folder in folders:
        for file in around.files.names(folder):
            if file.endswith(".conf"):
                chosen.setdefault(file, f"{folder}/{file}")
    for _, whole in sorted(chosen.items()):
        content = around.files.read(whole)
        if content is not None:
            yield whole, content


def _note(settings: Sequence[IniValue], notes: Notes) -> None:
    for each in settings:
        if each.key in _TAKEN or each.key in _HARMLESS:
            continue
        if each.key in _DONE_BY_VLLMD:
            notes.remark(_DONE_BY_VLLMD[each.key])
        elif each.key == "User" and each.value != "vllmd":
            notes.remark(
                "User=: engines run as user vllmd: let it read the model, the adapters and the "
                "cache"
            )
        elif re.match(r"\S*(docker|podman) (rm|stop|kill|pull)\b", each.value.lstrip("-@:+!")):
            notes.remark(f"left out: {each.key}={each.value}: of the container, which is no more")
        elif each.key.startswith("Exec"):
            notes.remark(
                f"{each.source}:{each.line}: left out: {each.key}={each.value}: vllmd runs nothing "
                "beside an engine: make it a unit of its own that goes before vllmd-daemon"
            )
        elif each.key != "User":
            notes.remark(
                f"left out: {each.key}={each.value}: of the unit: 'systemctl edit "
                "vllmd-engine@NAME' sets it for an engine"
            )


def variables_of(
    settings: Sequence[IniValue], path: str, around: Surroundings, notes: Notes
) -> dict[str, str]:
    """Return what a unit sets; files win over Environment=. Source: systemd.exec(5)."""
    own: dict[str, str] = {}
    of_files: dict[str, str] = {}
    for each in settings:
        if each.key == "Environment":
            for raw in split(each.value):
                name, _, value = _unquoted(raw).partition("=")
                own[name] = specified(value, path, each, around)
        elif each.key == "EnvironmentFile":
            file = specified(each.value.lstrip("-").strip('"'), path, each, around)
            place = Place(each.source, each.line)
            paths = [] if is_unknown(file) else named_by(file, around.files)
            contents = [text for p in paths if (text := around.files.read(p)) is not None]
            for content in contents:
                of_files |= _taken(content, file, place, notes)
            if not contents and each.value.startswith("-"):
                notes.remark(f"{place}: {as_written(file)} is not there: no variables of it")
            elif not contents:
                notes.refuse(
                    place, f"{as_written(file)} cannot be read here: run this where it can be"
                )
    removed = {w for e in settings if e.key == "UnsetEnvironment" for w in e.value.split()}
    return {n: v for n, v in {**own, **of_files}.items() if n not in removed}


def _taken(content: str, file: str, place: Place, notes: Notes) -> dict[str, str]:
    """Return the variables that systemd takes of a file; what it leaves is said."""
    for line in _EXPORTED.findall(content):
        name = line.split()[1].partition("=")[0]
        notes.remark(f"{place}: left out: {name} of {file}: systemd takes no export")
    return variables_in(_EXPORTED.sub("", content))


def variables_in(text: str) -> dict[str, str]:
    """Read a file of variables, of systemd's EnvironmentFile= or docker's --env-file kind."""
    found = {}
    for line in re.sub(r"\\\n", "", text).splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and re.fullmatch(r"\w+", name.strip()) and line.strip()[:1] not in "#;":
            value = value.strip()
            quoted = value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def split(line: str) -> list[str]:
    """Return the words of a line of a unit, with their quotes."""
    return _WORD.findall(line)


def _escaped(text: str) -> str:
    """Return what a backslash and a text stand for. Source: systemd.syntax(7), "Quoting"."""
    if text[0] in "xuU" and len(text) > 1:
        return chr(int(text[1:], 16))
    if text.isdigit():
        return chr(int(text, 8))
    return _OF_C.get(text, text)


def _unquoted(raw: str) -> str:
    def plain(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] == "\\":
            return _escaped(text[1:])
        return re.sub(rf"\\({_ESCAPE})", lambda one: _escaped(one[1]), text[1:-1], flags=re.DOTALL)

    return re.sub(
        rf"""\\(?:{_ESCAPE})|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", plain, raw, flags=re.DOTALL
    )


def filled(raw: str, variables: Mapping[str, str], place: Place) -> tuple[list[str], set[str]]:
    """Put variables in, as systemd does: one that stands alone may be several words, or none."""

    def known(name: str) -> str:
        reason = "it is set neither in the unit nor in its files that are here"
        return variables[name] if name in variables else mark(f"${name}", reason, place)

    alone = re.fullmatch(r"\$([A-Za-z_]\w*)", _unquoted(raw))  # quotes are taken off first
    if alone:
        value_alone = known(alone[1])
        return [value_alone] if is_unknown(value_alone) else _apart(value_alone), {alone[1]}
    used = set()

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        used.add(found[1])
        return known(found[1])

    return [re.sub(r"\$\$|\$\{([A-Za-z_]\w*)\}", value, _unquoted(raw))], used


def _apart(text: str) -> list[str]:
    """Return the words of a variable that stands alone; quotes are respected, and taken off."""
    try:
        return shlex.split(text)
    except ValueError:  # a quote has no end
        return text.split()


def specified(text: str, path: str, setting: IniValue, around: Surroundings) -> str:
    """Put in what `%…` stands for; what is not known becomes a mark."""
    place = Place(setting.source, setting.line)
    name = posixpath.basename(path)
    found = re.fullmatch(r"(?P<prefix>[^@]+)(@(?P<instance>.+))?\.service", name)
    parts = found.groupdict() if found else {}
    parts["last"] = (parts.get("prefix") or "").rpartition("-")[2]

    def value(found: re.Match[str]) -> str:
        letter = found[1]
        part = parts.get(_OF_NAME.get(letter.lower(), ""))
        if part:
            return part if letter.islower() else _unescaped(part)
        if letter in "nN" and name.endswith(".service"):
            return name if letter == "n" else name.removesuffix(".service")
        if letter == "h":  # of who runs the service manager, whatever User= is
            return around.manager_home or around.home_at(place)
        reason = (
            "what it stands for is not known here; write it, or name the unit with its instance"
        )
        return _SPECIFIERS.get(letter) or mark(found[0], reason, place)

    return re.sub(r"%([%a-zA-Z])", value, text)


def _unescaped(text: str) -> str:
    """Return what was escaped for a unit's name. Source: systemd-escape(1)."""
    raw = re.sub(
        rb"\\x([0-9a-fA-F]{2})",
        lambda found: bytes([int(found[1], 16)]),
        text.replace("-", "/").encode(),
    )
    return raw.decode(errors="replace")


def _folder(settings: Sequence[IniValue], path: str, around: Surroundings) -> str | None:
    """Return the working directory: of the system's units the root, unless one is given."""
    for each in settings:
        if each.key == "WorkingDirectory":
            value = specified(each.value.lstrip("-").strip('"'), path, each, around)
            return (
                around.home_at(Place(each.source, each.line)) if value == "~" else join("/", value)
            )
    return around.home if is_of_user(path) else "/"


def is_of_user(path: str) -> bool:
    """Tell whether a unit is one of a user's service manager, by its folder."""
    return bool(re.search(r"/systemd/user(/|$)", path))


def is_of_system(text: str, path: str) -> bool:
    """Tell whether a unit is of the system's service manager: by its folder, or by what it says."""
    if is_of_user(path):
        return False
    said = r"^\s*(User|DynamicUser)=\S|^\s*WantedBy=.*(multi-user|graphical)\.target"
    folder = re.match(r"(/etc|/run|/usr/lib|/lib|/usr/share)/(systemd|containers)/", path)
    return bool(folder or re.search(said, text, re.MULTILINE))
