"""Launchers: taken over whole, or refused; of shell, compose, Kubernetes, units, supervisord."""

import re

from tests.fuzz.target import Target
from tests.unit.importing.test_mutated_launchers import texts
from vllmd.config.command import build_all
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.errors import VllmdError
from vllmd.importing.comparison import compare
from vllmd.importing.result import engines_of
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.writing import write

END_OF_NAME = b"\0"
MARKS = re.compile(r"[\ue000-\ue008]")


def _run(data: bytes) -> None:
    name, _, given = data.partition(END_OF_NAME)
    try:
        text = given.decode()
    except UnicodeDecodeError:
        return
    notes = Notes()
    source = Source(text, name.decode(errors="replace") or "-")
    try:
        launches = read(source, Surroundings(), notes)
        engines = engines_of(launches, None, Surroundings(), notes)
        if notes.problems:
            return
        made = write({each.name: each.table for each in engines})
        config, _ = parse(made)
        commands = build_all(config)
    except (VllmdError, InvalidConfigError):
        return
    if not MARKS.search(text):
        assert not MARKS.search(made), f"a mark is left: {made}"
    for each in engines:
        found = compare(each.name, each.launch, each.table, commands[each.name])
        assert not found.unexplained, found


def _corpus() -> list[bytes]:
    return [name.encode() + END_OF_NAME + text.encode() for name, text in texts()]


TARGET = Target(
    "importers",
    _run,
    _corpus,
    scraps=(
        *(b"$X", b"${X:-", b"$((", b"${X//a/b}", b"`", b"&&", b"||", b"<<E\n", b"|", b"\\\n", b"'"),
        *(b'"', b"*a", b"&a ", b"!!python/object:", b"<<: ", b"- ", b": ", b"%h", b"%(ENV_X)s"),
        *(b"vllm serve m", b"--port 8000", b"exec ", b"if true; then ", b"fi\n", b"done\n"),
        *(
            b"while true; do ",
            b"for a in 1 2 3; do ",
            b"f() { f; }; f\n",
            b"case a in a) ",
            b"$'\\x",
        ),
        *(
            b"{1..99999999}",
            b"$((2**99999))",
            b"$((1<<999999))",
            b"EnvironmentFile=",
            b"[program:a]\n",
        ),
    ),
)
