"""The servers that a script starts. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from vllmd.errors import VllmdError
from vllmd.importing.known_commands import HARMLESS, ONLY_SPEAK
from vllmd.importing.launch import Launch
from vllmd.importing.other_shells import of_another_shell
from vllmd.importing.prefixes import Peeled, of_conda, peel
from vllmd.importing.serving import OF_PATH, installs, serving, speaks_of_serving
from vllmd.importing.shell.assignments import assign, assigned, export
from vllmd.importing.shell.commands import BUILTINS, CONDA, EXPORTS, PRINTS, printed
from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.hub_login import log_in
from vllmd.importing.shell.interpreter import MAX_DEPTH, Interpreter
from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.reading import READS, given_text, read
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import given_by, substitute
from vllmd.importing.shell.syntax import Redirection, Simple
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unit import variables_in
from vllmd.importing.unknown import Place, as_written, is_unknown, mark
from vllmd.importing.variables import home_of, kept

Other = Callable[[ShellState, Sequence[str], Place], bool]
"""Takes a command that is none of the shell's, such as `docker run`; tells whether it took it."""
_NONE: Mapping[str, str] = MappingProxyType({})
_LOG = "the log file: vllmd writes and rotates a log of its own"


class ScriptReader:
    """Reads one script, and those that it runs."""

    def __init__(self, other: Other = lambda *_: False) -> None:
        self._other = other
        self._interpreter = Interpreter(self._simple)

    def read(self, text: str, state: ShellState, line: int = 1) -> None:
        """Follow a script: what it starts is in the state's launches.

        Raises: VllmdError: it is none.
        """
        try:
            script = parse(text, state.place(line))
            state.followed.read(script, state.source)
            self._interpreter.run(script, state)
        except RecursionError:
            raise VllmdError(f"{state.source}: it is nested too deeply to be read") from None

    def _simple(self, _: Interpreter, node: Simple, state: ShellState) -> bool | None:
        state.followed.come_to(node, state.source)
        expansion = Expansion(state, node.line, substitute)
        words = expansion.all_words(node.words)
        if not words:
            for assignment in node.assignments:
                assign(assignment, state)
            return True
        if words[0] in EXPORTS:
            return export(node, words, state)
        own = dict(assigned(each, state.copy()) for each in node.assignments)
        document = self._document(node.redirections, state)
        self._write(words, node, document, state)
        if words[0] in state.functions:
            return self._interpreter.call(state.functions[words[0]], words[1:], state)
        if words[0] == "eval":
            return self._nested(" ".join(words[1:]), state, node.line)
        if words[0] in ("source", "."):
            given = node.words[1].text if node.words[1:] else ""
            text = given_by(state, given, node.line) if given.startswith("<(") else None
            if text is not None:
                return self._nested(text, state, node.line)
            return self._source(words[1:], state, node.line)
        if words[0] == "conda" and (done := CONDA(state, words[1:], node.line)) is not None:
            return done
        if words[0] in READS:
            return read(state, words, own, given_text(node.redirections, state), node.line)
        if words[0] in BUILTINS:
            return BUILTINS[words[0]](state, words[1:], node.line)
        if words[0] == "let":
            values = [expansion.number(word) for word in words[1:]]
            return None if not values or is_unknown(values[-1]) else values[-1] != "0"
        result = self._command(words, own, document, node, state)
        if words[0] == "exec" and not re.fullmatch(r"\{\w+\}", "".join(words[1:2]) or "{x}"):
            state.ended = state.exits = True
        return result

    # --- other scripts -------------------------------------------------------------------------

    def _nested(
        self, text: str, state: ShellState, line: int, arguments: Sequence[str] | None = None
    ) -> bool | None:
        if is_unknown(text) and not speaks_of_serving([as_written(text)]):
            return None
        before = state.arguments
        if arguments is not None:
            state.arguments = list(arguments)
        self.read(text, state, line)
        state.arguments = before
        return None

    def _source(self, words: Sequence[str], state: ShellState, line: int) -> bool | None:
        if not words:
            return None
        path = words[0]
        if re.search(r"(^|/)bin/activate$", path):
            folder = state.folder or state.surroundings.folder
            whole = (
                path
                if path.startswith("/") or is_unknown(path) or not folder
                else join(folder, path)
            )
            state.prefix = whole.rpartition("/")[0]
            return True
        if re.search(r"(^|/)(conda\.sh|activate|\.bashrc|\.profile|nvm\.sh)$", path):
            if path.endswith("/activate") and len(words) > 1:
                state.notes.remark(of_conda(words[1]))
            return True
        inner = self._file(path, words[1:] or state.arguments, state, state, runs=False)
        if inner is None and state.exports_all:
            state.notes.refuse(
                state.place(line),
                f"{as_written(path)} cannot be read here, and what it sets is for vLLM too "
                "(set -a): run this where it can be",
            )
        elif inner is None:
            state.unread.setdefault(f"source {as_written(path)}", []).append(line)
        return None

    def _file(
        self,
        path: str,
        arguments: Sequence[str] | None,
        state: ShellState,
        into: ShellState,
        *,
        runs: bool = True,
    ) -> ShellState | None:
        """Follow a script in a file; None if it cannot be read.

        With `runs` the shell is its own; else its lines are read by the one that is there.
        """
        whole = join(state.folder or state.surroundings.folder or "", path)
        text = None if is_unknown(whole) else state.text_of(whole)
        if text is None or state.depth >= MAX_DEPTH:
            return None
        other = of_another_shell(text, whole) if runs else None
        if other and speaks_of_serving([text]):
            state.notes.refuse(Place(whole, 1), other)
            return into
        path_before, source, given = into.path, into.source, into.arguments
        into.path, into.source = whole, whole
        into.arguments = None if arguments is None else list(arguments)
        into.depth += 1
        self.read(text, into)
        into.path, into.source, into.arguments = path_before, source, given
        into.depth -= 1
        into.ended = into.exits
        return into

    # --- commands ------------------------------------------------------------------------------

    def _command(
        self,
        words: list[str],
        own: Mapping[str, str],
        document: str,
        node: Simple,
        state: ShellState,
    ) -> bool | None:
        peeled = peel(words)
        inner = state.copy() if peeled.script or peeled.file or peeled.stdin else state
        if peeled.session:
            inner = state.sessions.setdefault(peeled.session, inner)
        if peeled.script is not None or peeled.file is not None or peeled.stdin:
            return self._shell(peeled, own, document, node, inner)
        if not peeled.words:
            return True
        found = serving(peeled.words, peeled.environment or state.prefix)
        if found is not None:
            self._serve(peeled, own, node, state)
            return None
        place = state.place(node.line)
        harmless = peeled.words[0].rsplit("/", 1)[-1] in HARMLESS
        if speaks_of_serving([document]) and not harmless:
            state.notes.refuse(
                place,
                f"{as_written(peeled.words[0])!r} is given a text that starts vLLM: import that "
                "text as a file of its own",
            )
            return None
        if installs(peeled.words):
            state.notes.remark(
                f"{place}: left out: {as_written(' '.join(peeled.words))}: nothing is installed "
                "here: vLLM comes with 'vllmd engine install', and 'vllmd engine adopt FOLDER' "
                "takes an environment that has more"
            )
            return None
        if self._other(state, peeled.words, place):
            return None
        name = peeled.words[0]
        log_in(state, peeled.words, place)
        if harmless:
            return None
        if speaks_of_serving(peeled.words):
            if name.rsplit("/", 1)[-1] not in ONLY_SPEAK:
                state.notes.refuse(
                    place,
                    f"{as_written(name)!r} runs vLLM in a way that is not read: give the command "
                    "that it runs alone, 'vllm serve MODEL …'",
                )
            return None
        if name.startswith("-"):
            state.notes.remark(
                f"{place}: {as_written(name)} is a command of its own: the line above does not end "
                "with \\, so vLLM was never given it"
            )
            return None
        if "/" in name and self._file(name, peeled.words[1:], state, state.copy()) is not None:
            return None
        state.unread.setdefault(as_written(name), []).append(node.line)
        return None

    def _shell(
        self, peeled: Peeled, own: Mapping[str, str], document: str, node: Simple, state: ShellState
    ) -> bool | None:
        """Follow what another shell is given."""
        files = self._of_files(peeled, state, state.place(node.line))
        if peeled.keeps:
            files = {n: v for n, v in files.items() if n not in state.exported}
        for name, value in {**files, **own, **peeled.variables}.items():
            state.variables[name] = value
            state.exported.add(name)
        before = len(state.launches)
        state.folder = join(state.folder or "", peeled.folder) if peeled.folder else state.folder
        if peeled.stdin or speaks_of_serving([document]):
            self._nested(document, state, node.line + 1)
        elif peeled.script is not None:
            self._nested(peeled.script, state, node.line, peeled.file)
        elif peeled.file:
            path, *arguments = peeled.file
            if self._file(path, arguments, state, state) is None:
                state.unread.setdefault(as_written(path), []).append(node.line)
        if len(state.launches) > before and peeled.host:
            state.hosts.add(peeled.host)
            if len(state.hosts) > 1:
                state.notes.refuse(
                    state.place(node.line),
                    f"it starts vLLM on {', '.join(sorted(map(as_written, state.hosts)))}: a "
                    "configuration is of one host: import there the command that is run there",
                )
        if len(state.launches) > before:
            for each in peeled.remarks:
                state.notes.remark(each)
        return None

    def _serve(
        self, peeled: Peeled, own: Mapping[str, str], node: Simple, state: ShellState
    ) -> None:
        found = serving(peeled.words, peeled.environment or state.prefix)
        assert found is not None
        place = state.place(node.line)
        remarks = list(peeled.remarks)
        program = found.program
        if "/" in program[0] and not program[0].startswith(("/", "\ue000")):
            folder = state.folder or state.surroundings.folder_at(program[0], place)
            program = (join(folder, program[0]), *program[1:])
        if found.by_path:
            remarks.append(OF_PATH)
            if peeled.wrapper:
                remarks.append(
                    f"left out: {' '.join(peeled.wrapper)}: it goes before the program, whose path "
                    'is not known here: executable = ["numactl", …, "/PATH/vllm"] has it'
                )
        else:
            program = (*peeled.wrapper, *program)
        given = {} if peeled.clean else dict(state.environment())
        files = self._of_files(peeled, state, place)
        given = {**files, **given} if peeled.keeps else {**given, **files}
        given = {
            n: v for n, v in {**given, **own, **peeled.variables}.items() if n not in peeled.removed
        }
        variables, said = kept(given, state.used)
        if peeled.sudo and (lost := sorted({*variables} - {*peeled.variables})):
            remarks.append(
                f"sudo: it hands on what its sudoers say, which {', '.join(lost)} may not be of: "
                "they are set here"
            )
        if any(
            each.operator.lstrip("0123456789") in (">", ">>", "&>", "&>>", ">|")
            for each in node.redirections
        ):
            remarks.append(_LOG)
        if node.words[0].text == "nohup":
            remarks.append("nohup and &: vllmd keeps the engine running by itself")
        folder = peeled.folder or ""
        if folder and not folder.startswith("/") and state.folder:
            folder = join(state.folder, folder)
        launch = Launch(
            program=program,
            arguments=found.arguments,
            ran=tuple(peeled.words),
            variables=variables,
            place=place,
            folder=folder or state.folder,
            home=home_of(given),
            written=dict(state.written),
            remarks=tuple(dict.fromkeys((*remarks, *said))),
        )
        state.launches.append(launch)

    def _of_files(self, peeled: Peeled, state: ShellState, place: Place) -> dict[str, str]:
        """Return the variables of the files that what stands before a command names."""
        found: dict[str, str] = {}
        for path in peeled.files:
            text = state.text_of(path.removeprefix("-"))
            if text is not None:
                found |= variables_in(text)
            elif not path.startswith("-"):
                state.notes.refuse(
                    place, f"{as_written(path)} cannot be read here: run this where it can be"
                )
        return found

    # --- files ---------------------------------------------------------------------------------

    def _document(self, redirections: Sequence[Redirection], state: ShellState) -> str:
        for each in redirections:
            expansion = Expansion(state, each.target.line, substitute)
            operator = each.operator.lstrip("0123456789")
            if operator in ("<<", "<<-"):
                return each.body if each.literal else expansion.document(each.body)
            if operator == "<<<":
                return f"{expansion.text(each.target.text)}\n"
        return ""

    def _write(
        self,
        words: Sequence[str],
        node: Simple,
        document: str,
        state: ShellState,
    ) -> None:
        """Remember what a command writes to a file or a variable, if that is known."""
        words = peel(list(words)).words
        if not words or words[0] not in PRINTS:
            return
        variable = words[2] if words[:2] == ["printf", "-v"] and len(words) > 3 else ""
        text = printed(words[0], words[3 if variable else 1 :], document or state.piped)
        if text is None:
            text = mark(" ".join(words), "what it prints is not known here", state.place(node.line))
        if variable:
            state.assign(variable, text)
            return
        targets = [each for each in node.redirections if each.operator in (">", ">>", "1>", ">|")]
        names = [Expansion(state, e.target.line, substitute).text(e.target.text) for e in targets]
        if words[0] == "tee":
            names += [word for word in words[1:] if not word.startswith("-")]
        for name in names:
            path = join(state.folder or "", name)
            appends = any(each.operator == ">>" for each in targets) or "-a" in words
            state.written[path] = state.written.get(path, "") + text if appends else text


def launches_of(
    text: str,
    place: Place,
    surroundings: Surroundings,
    notes: Notes,
    *,
    path: str = "",
    variables: Mapping[str, str] = _NONE,
    used: Iterable[str] = (),
    other: Other = lambda *_: False,
) -> tuple[list[Launch], Mapping[str, list[int]]]:
    """Return the servers that a script starts, and the commands that were not followed.

    `variables` are set when it begins, those in `used` for the words around it only; `path` is what
    it calls itself.

    Raises: VllmdError: it is no script.
    """
    state = ShellState(surroundings, notes, path, place.source, folder=surroundings.folder)
    state.variables |= variables
    state.exported |= set(variables)
    state.used |= set(used)
    ScriptReader(other).read(text, state, place.line)
    if state.launches:
        for each in state.followed.remarks():
            notes.remark(each)
        for file, content in state.written.items():
            if file not in state.read and speaks_of_serving([content]):
                notes.remark(
                    f"{file}: the script writes it, it starts vLLM, and nothing here runs it: if "
                    "it is run, import it too"
                )
    return state.launches, state.unread
