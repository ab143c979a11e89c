import asyncio
from pathlib import Path

import pytest

from tests.helpers.answering_shim import answering_shim
from tests.helpers.late_disk import LateDisk
from vllmd.engine.output import engine_output
from vllmd.engine.output.engine_output import EngineOutput
from vllmd.engine.output.first_errors import ALL_MARKS, FirstErrors
from vllmd.logs.reader import BLOCK_BYTES, Position
from vllmd.shim import counted, logfiles
from vllmd.shim.counted import Counted
from vllmd.shim.protocol import ROTATION, SOCKET_NAME

INFO = b"(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] fine\n"
ERROR = b"(EngineCore pid=2) ERROR 11-23 18:48:59 [a.py:1] boom\n"


class Place:
    """A log, and those who follow it, one after another."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "chat.log"
        self.folder = folder
        self.heard: list[bytes] = []
        self.errors = FirstErrors()

    def follow(self) -> EngineOutput:
        memory = self.folder / "chat.log.json"
        rotation = {**ROTATION, "max_bytes": 100, "budget_bytes": 1000}
        return EngineOutput(
            "chat",
            self.log,
            self.folder / "run",
            memory,
            rotation,  # type: ignore[arg-type]
            self.errors,
            [lambda block, _: self.heard.extend(block.splitlines())],
        )

    def prints(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def rotate(self, number: int) -> None:
        self.log.rename(f"{self.log}.{number:06d}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_look_counts_each_line_once_and_hands_it_on(place: Place) -> None:
    place.prints(b"of yesterday\n")
    output = place.follow()
    place.prints(INFO + ERROR)
    output.look()
    output.look()
    figures = output.figures()
    assert {k: v for k, v in figures.lines.items() if v} == {"info": 1, "error": 1}
    assert figures.bytes["error"] == len(ERROR)
    assert place.heard == [INFO[:-1], ERROR[:-1]]
    assert figures.used_bytes == place.log.stat().st_size
    assert figures.budget_bytes == 1000
    assert figures.last_line_at == place.log.stat().st_mtime


def test_look_after_an_absence_goes_on_where_the_daemon_before_was(place: Place) -> None:
    first = place.follow()
    place.prints(INFO)
    first.look()
    first.close()
    place.prints(ERROR)
    place.rotate(1)
    place.prints(INFO)
    second = place.follow()
    second.look()
    assert {k: v for k, v in second.figures().lines.items() if v} == {"info": 1, "error": 1}
    assert place.heard == [INFO[:-1], ERROR[:-1], INFO[:-1]]


def test_first_look_says_where_it_is_also_when_nothing_new_comes(place: Place) -> None:
    """Else what a daemon had handed over when it was killed would wait for the next line."""
    first = place.follow()
    place.prints(INFO)
    first.look()
    first.close()
    told: list[tuple[bytes, Position]] = []
    second = place.follow()
    second.configure(ROTATION, [lambda block, begin: told.append((block, begin))])
    second.look()
    second.look()
    place.prints(ERROR)
    second.look()
    end = Position(1, len(INFO))
    assert told == [(b"", end), (ERROR, end)]


def test_look_reads_to_the_end_however_many_parts_its_shim_has_counted(place: Place) -> None:
    output = place.follow()
    output.configure(ROTATION, ())
    counted_part, read_part, pieces = INFO * 3, b"(EngineCore pid=2) an odd line\n", 500
    one = len(counted_part) + len(read_part)
    place.prints((counted_part + read_part) * pieces + ERROR)
    size = {"info": [3, len(counted_part)]}
    begins = range(0, one * pieces, one)
    parts = [Counted(each, each + len(counted_part), size) for each in begins]
    tag = counted.tag_of(ALL_MARKS)
    notes = b"".join(counted.encode(tag, part) for part in parts)
    Path(logfiles.times(str(place.log), 1)).write_bytes(notes)
    output.look()
    lines = {k: v for k, v in output.figures().lines.items() if v}
    assert lines == {"info": 3 * pieces, "none": pieces, "error": 1}


def test_look_ends_in_a_flood(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_output, "AT_ONCE_BYTES", 2 * BLOCK_BYTES)
    output = place.follow()
    place.prints(INFO * (5 * BLOCK_BYTES // len(INFO)))
    output.look()
    read = output.figures().bytes["info"]
    assert 2 * BLOCK_BYTES - len(INFO) <= read <= 3 * BLOCK_BYTES


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"number": "x"}'])
def test_memory_that_is_damaged_begins_at_the_end(place: Place, damage: str) -> None:
    (place.folder / "chat.log.json").write_text(damage)
    place.prints(INFO)
    output = place.follow()
    output.look()
    assert place.heard == []


def test_compress_waits_until_a_file_was_read(place: Place) -> None:
    output = place.follow()
    for number in (1, 2, 3):
        place.prints(INFO)
        place.rotate(number)
    place.prints(INFO)
    assert output.compress() is None
    assert not list(place.folder.glob("*.gz"))
    output.look()
    assert output.compress() is None
    packed = sorted(p.name for p in place.folder.glob("*.gz"))
    assert packed == ["chat.log.000001.gz", "chat.log.000002.gz"]
    output.close()


async def test_rotate_of_an_engine_that_does_not_run_is_done_here(place: Place) -> None:
    output = place.follow()
    await output.rotate()  # there is nothing
    place.prints(INFO)
    await output.rotate()
    assert (place.folder / "chat.log.000001").read_bytes() == INFO
    assert place.log.read_bytes() == b""


async def test_ask_shim_without_one_knows_nothing_of_drops(place: Place) -> None:
    output = place.follow()
    await output.ask_shim()
    assert output.figures().dropped_lines is None


async def test_line_under_way_is_known_while_its_engine_runs(place: Place) -> None:
    output = place.follow()
    assert output.under_way is None
    with answering_shim(place.folder / "run" / SOCKET_NAME, unfinished="weights: 40%"):
        await output.ask_shim()
        assert output.under_way == "weights: 40%"
        assert (output.printing("r"), output.printing("the run before")) == ("weights: 40%", None)
    for _ in range(200):  # until it is known that the shim has gone
        await asyncio.sleep(0.005)
        await output.ask_shim()
        if output.under_way is None:
            break
    assert output.under_way is None


async def test_ask_shim_tells_it_once_how_to_rotate(place: Place) -> None:
    output = place.follow()
    with answering_shim(place.folder / "run" / SOCKET_NAME) as shim:
        for _ in range(3):
            await output.ask_shim()
        rotations = [each for each in shim.asked if each["op"] == "rotation"]
        assert [each["rotation"]["max_bytes"] for each in rotations] == [100]
        output.configure({**ROTATION, "max_bytes": 200}, ())
        await output.ask_shim()  # it has nothing new
        rotations = [each for each in shim.asked if each["op"] == "rotation"]
        assert [each["rotation"]["max_bytes"] for each in rotations] == [100, 200]
        output.close()


async def test_ask_shim_without_news_asks_for_a_look_until_all_is_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_output, "AT_ONCE_BYTES", 1)
    output = place.follow()
    with answering_shim(place.folder / "run" / SOCKET_NAME):
        assert await output.ask_shim()
        place.prints(INFO * 50_000)  # more than is read at once
        output.look()
        assert await output.ask_shim()
        while await output.ask_shim():
            output.look()
        assert output.figures().lines["info"] == 50_000
        output.close()


def test_first_errors_of_the_run_before_that_are_read_late_are_not_of_this_one(
    place: Place,
) -> None:
    output = place.follow()
    place.prints(ERROR.replace(b"boom", b"old"))
    place.errors.begin(Position(1, place.log.stat().st_size))
    place.prints(INFO + ERROR)
    output.look()
    assert place.errors.before([]) == [ERROR[:-1].decode()]


def test_daemon_that_goes_on_in_the_middle_of_an_end_knows_what_the_one_before_had_kept(
    place: Place,
) -> None:
    fatal = ERROR.replace(b"boom", b"EngineCore encountered a fatal error.")
    ready = b"INFO:     Application startup complete.\n"
    first = place.follow()
    first.look()
    place.prints(INFO + ready + ERROR + fatal)
    first.look()
    first.close()
    place.errors = FirstErrors()
    place.prints(INFO * 3)
    second = place.follow()
    second.look()
    last = [INFO[:-1].decode()] * 3
    printed = [line.decode() for line in (ready + ERROR + fatal).splitlines()]
    assert place.errors.before([]) == [*printed, *last]


def test_daemon_keeps_nothing_again_of_a_run_that_is_over(place: Place) -> None:
    first = place.follow()
    first.look()
    place.prints(ERROR)
    first.look()
    first.close()
    place.errors = FirstErrors()
    second = place.follow()
    place.errors.begin(Position(1, place.log.stat().st_size))
    second.look()
    assert place.errors.before([]) == []


def test_output_that_was_never_looked_at_is_followed_from_where_its_first_daemon_began(
    place: Place,
) -> None:
    first = place.follow()
    first.look()
    first.close()
    place.prints(ERROR)
    place.follow().look()
    assert place.heard == [ERROR[:-1]]


def test_look_while_the_disk_is_late_counts_nothing_and_misses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.follow()
    place.prints(INFO)
    first.look()
    first.close()
    place.prints(ERROR)
    disk = LateDisk(monkeypatch)
    output = place.follow()
    with pytest.raises(TimeoutError):
        output.look()
    disk.late = False
    output.look()
    assert place.heard == [INFO[:-1], ERROR[:-1]]
