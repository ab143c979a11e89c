"""What of an output belongs to the end of its last run, the root of it first. Pure: no I/O."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

import attrs

from vllmd.engine.log_reading.chains import chains_of, ending
from vllmd.engine.log_reading.cores import gone_in_order
from vllmd.engine.log_reading.entries import LOUD, Entry, Stream, read_entries
from vllmd.engine.log_reading.phase import Phase, last_step, phase_by_lines, phase_of
from vllmd.engine.log_reading.runs import last_run
from vllmd.engine.log_reading.serving import at_work, is_end_of_work, ready_from
from vllmd.engine.log_reading.sign import LOST, Sign, reason_of
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.engine.log_reading.tracebacks import read_exceptions
from vllmd.logs import milestones

FATAL = re.compile("|".join(map(re.escape, milestones.FATAL)))
"""What is said only when the engine ends."""
ECHO = re.compile(
    r"Engine core initialization failed|Engine process failed to start"
    r"|WorkerProc initialization failed"
    r"|EngineDeadError|EngineGenerateError|AsyncEngineDeadError|MQEngineDeadError"
    r"|Background loop (?:has errored|is stopped|is not running)"
    r"|stack trace (?:above|\(above\)) for the root|See stack trace for the root"
    r"|Worker failed with error|ChildProcessError: worker died|CancelledError"
    r"|^RuntimeError: cancelled|Engine process \(pid \d+\) died"
    r"|Task finished unexpectedly|ProcessRaisedException|ProcessExitedException"
    r"|^(?:KeyboardInterrupt|SystemExit|GeneratorExit|StopIteration)\b|RayTaskError|EngineCore died"
    r"|process [A-Za-z_]*\d* terminated with signal|ContextTerminated|Engine loop has died"
    r"|^(?:EngineCore|WorkerProc|ApiServer\w*) (?:failed to start|hit an exception"
    r"|encountered a fatal)"
    r"|AsyncLLM output_handler failed|^Traceback \(most recent|^(?:The above"
    r"|During handling of the above) exc"
    r"|Got fatal signal from worker|terminating server process|^Process \S+:$"
    r"|^(?:vllm: )?Exception in worker \S+ while processing method \w+\.?$"
    r"|failed to be inspected\. Please check the logs|failed in the TorchScript interpreter"
    r"|^srun: error: \S+: tasks? [\d,-]+: (?:Exited with exit code|Terminated)"
)
"""An exception or a line that only says that another one came before."""
_DEATH = re.compile(
    r"died unexpectedly \(exit code: -|died, exit code: -|A worker died or was killed"
    r"|proc \S+ died unexpectedly|Segmentation fault|Segfault encountered|Bus error|\bKilled\b"
    r"|^terminate called|Fatal Python error|atchdog caught collective|atchdog thread terminated"
    r"|HSA_STATUS_ERROR|Memory access fault by GPU|trap invalid opcode|segfault at [0-9a-f]+ ip"
)
"""A process that a signal or its own native code ended: others only notice that it is gone."""
_HARMLESS = re.compile(
    r"[Rr]etrying|[Ff]all(?:ing|s)? ?back|[Ww]ill (?:ignore|be ignored)|[Ii]gnor(?:e|ing) (?:it"
    r"|error)"
    r"|Exception in ASGI application|Invocation of \w+ method failed"
)
_SURVIVED = re.compile(r"^Exception in thread|^Failed to load plugin")
"""Said before a traceback of what a process goes on without."""
_OF_A_REQUEST = re.compile(
    r"serving|protocol\.py|preprocess|tool_parser|reasoning|exception_handler|api_server|chat_utils"
    r"|async_llm\.py|launcher|engine_client|renderer|media"
)
"""Places that print the error of one request."""
_RAW = re.compile(
    r"^(?:[\w./ -]{1,60}: )?error: |: No module named |fatal error: |cannot find -l|\bKilled\b"
    r"|Illegal instruction"
    r"|Segmentation fault|Bus error|Floating point exception|\bAborted\b|Fatal Python error"
    r"|Segfault encountered|terminate called|^\s*what\(\):|command not found"
    r"|executable file not found|^shim of engine |: not found$|died unexpectedly|OOMKilled"
    r"|Out of memory: Killed|symbol lookup error|error while loading shared libraries"
    r"|panicked at|process has finished its bootstrapping|^Failed: "
    r"|Error response from daemon: |^nvidia-container-cli: |FATAL ERROR: "
    r"|No such file or directory$|Permission denied$|No space left on device|^Error: |^fatal: "
    r"|A worker died or was killed|HSA_STATUS_ERROR|Memory access fault by GPU"
    r"|double free or corruption|free\(\): invalid|malloc\(\): "
    r"|corrupted size vs"
    r"|^ninja: build stopped|errors? detected in the compilation of|^nvcc fatal|undefined symbol: "
    r"|^ptxas .*fatal|the estimated maximum model length is \d"
    r"|^set(?:_mempolicy|ting membind): |^Too many open files \(src/"
    r"|^LLVM ERROR: |: Assertion [`'].*' failed\.?$|^libc\+\+abi: terminating|^CUDA error \("
    r"|trap invalid opcode|trap divide error|general protection fault|segfault at [0-9a-f]+ ip"
    r"|^\"?hipError\w+: |^roc(?:BLAS|blaslt) error: |\|CCL_ERROR\|"
    r"|^Error 8\d\d|Cannot allocate memory|insufficient shared memory|[Ee]xec format error"
)
"""Lines without a level and a traceback that may show why a process ended."""
_NCCL = re.compile(
    r"/dev/shm|out of memory|Cuda failure|No space left|ibv_|Connection (?:refused|reset"
    r"|closed)|Duplicate GPU|[Nn]o (?:socket )?interface|with status=\d+|[Tt]imed? ?out|[Mm]ismatch"
    r"|[Uu]nreachable|peer|[Ff]ailed"
)
_BUSY = re.compile(r'"(?:GET|POST) /\S* HTTP/[\d.]+" 200|Avg prompt throughput')
"""What an engine says that goes on serving: whatever was printed before did not end it."""
_RAW_FATAL = re.compile(
    r"^(?:Fatal Python error|terminate called|!+ ?Segfault|Failed: Cuda error"
    r"|(?:vllm\.\S*\.)?EngineDeadError"
    r"|(?:vllm\.\S*\.)?(?:Async|MQ)EngineDeadError)"
)
_NO_MORE = "socket.accept() out of system resource"
_HINT = re.compile(r"NVRM: Xid|, retrying \d+ of \d+|thrown while requesting (?:HEAD|GET)")
"""What the kernel says of a GPU; a request to the hub that failed, before it is asked again."""
_OF_A_WORKER = re.compile(r"Worker failed with error '(?P<said>(?!', please).+)")
_CHECK = "', please check the stack trace above for the root cause"
LINE_CHARS = 4000
"""How much of a line is looked at: what a request put into a message may be of any length."""
_NATIVE_LINES = 12
_BACK_S, _BACK_LINES = 90, 500
"""How far before the first fatal line its own cause may be printed."""


@attrs.frozen(slots=False)
class OutputReading:
    """What is known of a run's end from what it printed."""

    entries: tuple[Entry, ...] = ()
    """Of the last run."""
    signs: tuple[Sign, ...] = ()
    """In the order in which they were printed."""
    ready: bool = False
    phase: Phase = Phase.UNKNOWN
    hints: tuple[Entry, ...] = ()
    """What may explain an error: warnings of NCCL and of the hub, the kernel's about a GPU."""

    @cached_property
    def story(self) -> tuple[Sign, ...]:
        """The exceptions that the run ended by, from the root outward: of one process to the next.

        Of an output without such a chain, the first exception and what it led to; without any
        exception, all error lines.
        """
        own = [sign for sign in self.signs if sign.thrown is not None and _is_own(sign.thrown)]
        if not any(sign.thrown for sign in self.signs):
            return self.signs
        chains = chains_of(sign.thrown for sign in self.signs if sign.thrown is not None)
        ended = ending(chains, _is_own)
        if own and not any(_is_own(each) for chain in ended for each in chain.members):
            first = _with_frames(own)
            ended = (*(chain for chain in chains if first in chain.members), *ended)
        of = {sign.thrown: sign for sign in self.signs}
        return tuple(of[each] for chain in ended for each in chain.members)

    @cached_property
    def root(self) -> Sign | None:
        """The first exception of the chain that ended the run, or else the first error line.

        After a process that was killed, what the others throw is an echo of that.
        """
        own = [sign for sign in self.signs if not sign.echo]
        thrown = [sign for sign in self.story if sign.thrown and _is_own(sign.thrown)]
        dead = [sign for sign in own if sign.thrown is None and _DEATH.search(sign.lines[0])]
        if dead and thrown and dead[0].index < thrown[0].index:
            return dead[0]
        return next(iter(thrown or own), None)

    @cached_property
    def chain(self) -> tuple[Sign, ...]:
        """What shows why the run ended: its chain of exceptions, or the process that was killed."""
        root = self.root
        if root is None or root.thrown is not None:
            return self.story
        if not _DEATH.search(root.lines[0]):
            return self.signs
        own = (s.index for s in self.signs if s.thrown and not s.echo and s.index > root.index)
        end = next(own, len(self.entries))
        return tuple(s for s in self.signs if s.thrown is None and s.index < end)

    @cached_property
    def outside(self) -> tuple[Sign, ...]:
        """Errors before the root that are of no chain which ended the run."""
        root = self.root
        if root is None:
            return ()
        chain = set(map(id, self.chain))
        return tuple(s for s in self.signs if s.index < root.index and id(s) not in chain)

    @property
    def is_cut(self) -> bool:
        """Whether only echoes are left: the root is above what was given."""
        return bool(self.signs) and all(sign.echo for sign in self.signs) and not self.ready

    @property
    def process(self) -> str | None:
        """The process that the root comes from."""
        return self.root.entry.process if self.root else None

    def phase_at(self, sign: Sign) -> Phase:
        """Return the phase in which a sign came."""
        return phase_of(sign.thrown, self.phase) if sign.thrown else self.phase


def read_output(lines: Sequence[str], *, served: bool = False) -> OutputReading:
    """Read an output, of which the last run counts.

    `served` if it is known from elsewhere that the run was ready: its output may not say so, or
    not any more.
    """
    entries = read_entries(lines)
    thrown = read_exceptions(entries)
    begin = last_run(entries, thrown)
    if begin:
        entries = entries[begin:]
        thrown = read_exceptions(entries)
    ready_at, is_said = ready_from(entries, served=served and not begin)
    fatal = _first_fatal(entries, thrown, ready_at) if ready_at is not None else 0
    since = len(entries) if fatal is None else fatal
    if ready_at is not None and fatal is not None:
        since = _back(entries, thrown, ready_at, fatal)
    if fatal is None:  # nothing says that the engine ended: only what ended a program counts
        busy = max(
            (i for i, e in enumerate(entries) if e.quiet and _BUSY.search(e.text)), default=-1
        )
        last = max(-1 if ready_at is None else ready_at, busy)
        own = [t for t in thrown if t.begin > last and (t.is_main or _bind(t))]
        signs = [_of_thrown(t) for t in own]
    else:
        signs = [_of_thrown(t) for t in _that_count([t for t in thrown if t.begin >= since])]
    signs += _of_lines(entries, thrown, ready_at if fatal is None else since, fatal is None)
    signs.sort(key=lambda sign: sign.index)
    if ready_at is None and any(sign.is_logged for sign in signs):
        gone_on = last_step(entries)
        signs = [sign for sign in signs if not sign.is_logged or sign.index > gone_on]
    signs = _with_words_of_workers(signs)
    ready = ready_at is not None or any(map(_at_work, signs))
    end = signs[0].index if signs else len(entries)
    return OutputReading(
        entries=tuple(entries),
        signs=tuple(signs),
        ready=ready,
        phase=Phase.SERVING if ready and not is_said else phase_by_lines(entries, end),
        hints=(*filter(_hints, entries), *_no_more(entries)),
    )


def _with_frames(own: Sequence[Sign]) -> Thrown | None:
    """Return the first exception; of two that say the same, the one with a traceback."""
    first = own[0].thrown
    same = (s.thrown for s in own if s.thrown and first and s.thrown.text == first.text)
    return next((each for each in same if each.has_traceback), first)


def _with_words_of_workers(signs: Sequence[Sign]) -> list[Sign]:
    """Let what a worker said be its own, where only the process above has its words.

    The log is cut then; a process that died before it is the reason, one that died after it is not.
    """
    first = next((s.index for s in signs if _OF_A_WORKER.search(s.lines[0])), None)
    before = [s for s in signs if first is not None and s.index < first]
    if any(s.thrown and _is_own(s.thrown) for s in signs):
        return [*signs]
    if any(_DEATH.search(s.lines[0]) for s in before):
        return [*signs]
    return [_passed_on(sign) for sign in signs]


def _passed_on(sign: Sign) -> Sign:
    found = _OF_A_WORKER.search(sign.lines[0])
    if found is None or sign.thrown is None:
        return sign
    said = (found["said"].removesuffix(_CHECK), *sign.lines[1:])
    return Sign(said, sign.index, sign.entry, passed_on=True)


def _is_own(thrown: Thrown) -> bool:
    """Tell whether an exception is more than a word of another one, or of a lost process."""
    return not _is_echo(thrown) and not LOST.match(thrown.text)


def _is_echo(thrown: Thrown) -> bool:
    return ECHO.search(reason_of((thrown.text, *thrown.more)) or thrown.text) is not None


def _that_count(thrown: Sequence[Thrown]) -> list[Thrown]:
    """Leave out what ended nothing; what was survived counts where there is nothing else."""
    own = [each for each in thrown if not each.ignored]
    survived: set[Thrown] = set()
    for each in own:  # what led to another one is printed before it
        if _SURVIVED.search(each.header) or (each.before is not None and each.before in survived):
            survived.add(each)
    ended = [each for each in own if each not in survived]
    return ended if any(not ECHO.search(each.text) for each in ended) else own


def _hints(entry: Entry) -> bool:
    if entry.place == "NCCL":
        return _NCCL.search(entry.text) is not None
    return _HINT.search(entry.text[:LINE_CHARS]) is not None


def _no_more(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the last words of an engine that takes no connection any more, for want of files."""
    for entry in reversed(entries):
        if _NO_MORE in entry.text[:LINE_CHARS] and not entry.quiet:
            yield entry
            return
        if entry.quiet and _BUSY.search(entry.text):
            return


def _at_work(sign: Sign) -> bool:
    return bool(sign.thrown and at_work(sign.thrown)) or is_end_of_work(sign.lines[0])


def _bind(thrown: Thrown) -> bool:
    return "Errno 98" in thrown.message


def _first_fatal(entries: Sequence[Entry], thrown: Sequence[Thrown], ready_at: int) -> int | None:
    """Return where an engine that served says for the first time that it ends."""
    for index in range(ready_at + 1, len(entries)):
        entry = entries[index]
        pattern = FATAL if entry.level in LOUD else _RAW_FATAL
        if not entry.quiet and entry.text[:1] not in " \t" and pattern.search(entry.text):
            return index
    ended = (t for t in thrown if FATAL.search(t.header) or at_work(t))
    return next((t.begin for t in ended if t.begin > ready_at), None)


def _back(entries: Sequence[Entry], thrown: Sequence[Thrown], ready_at: int, fatal: int) -> int:
    """Return where what led to the first fatal line begins: an error just before it."""
    around = next((t.begin for t in thrown if t.begin < fatal < t.end), fatal)
    near = [t for t in thrown if ready_at < t.begin < around and _may_lead(entries, t, fatal)]
    survived = {t.message for t in thrown if _HARMLESS.search(t.header)}
    near = [t for t in near if t.message not in survived]
    later = {t.message for t in thrown if t.begin >= around}
    repeated = [message for message in later if "Worker failed with error" in message]
    named = [t for t in near if any(t.message and t.message in each for each in repeated)]
    for index in range(max(ready_at + 1, around - _NATIVE_LINES), around):
        entry = entries[index]
        if entry.level is None and entry.text[:1] not in " \t" and _RAW.search(entry.text):
            around = index  # a library says what it ends the process for
            break
    return min((t.begin for t in named or near), default=around)


def _may_lead(entries: Sequence[Entry], each: Thrown, fatal: int) -> bool:
    entry = each.entry
    if each.ignored or _HARMLESS.search(each.header) or _OF_A_REQUEST.search(entry.place or ""):
        return False
    of_a_request = (entry.process or "").startswith(("APIServer", "ApiServer"))
    return (not of_a_request or each.is_main) and _near(entries, each, fatal)


def _near(entries: Sequence[Entry], each: Thrown, fatal: int) -> bool:
    here, there = _seconds(each.entry), _seconds(entries[fatal])
    if here is not None and there is not None:
        return 0 <= there - here <= _BACK_S
    return fatal - each.end <= _BACK_LINES


def _seconds(entry: Entry) -> int | None:
    """Return the time of an entry on a scale of its own, in seconds."""
    if entry.at is None:
        return None
    month, day = int(entry.at[:2]), int(entry.at[3:5])
    hour, minute, second = (int(part) for part in entry.at[6:].split(":"))
    return (((month * 31 + day) * 24 + hour) * 60 + minute) * 60 + second


def _of_thrown(each: Thrown) -> Sign:
    """Return an exception as a sign: of an assertion that says nothing, its line does."""
    code = (each.code,) if each.is_silent and each.code.startswith("assert ") else ()
    return Sign(
        tuple(line[:LINE_CHARS] for line in (each.text, *each.more, *code)),
        each.begin,
        each.entry,
        each,
        _is_echo(each),
    )


def _of_lines(
    entries: Sequence[Entry], thrown: Sequence[Thrown], since: int | None, raw_only: bool
) -> Iterator[Sign]:
    """Yield the lines outside of exceptions that are errors."""
    inside: dict[int, set[Stream]] = {}
    for each in thrown:
        for index in range(each.begin, each.end):
            inside.setdefault(index, set()).add(each.entry.stream)
    in_order = gone_in_order(entries)
    for index in range(max(0, since or 0), len(entries)):
        entry = entries[index]
        text = entry.text
        if entry.quiet or not text.strip() or text[0] in "^~":
            continue
        if in_order(text):
            continue
        if entry.level in LOUD:
            if entry.stream in inside.get(index, ()):
                continue
            if text[0] in " \t" or _HARMLESS.search(text):
                continue
            if raw_only and _OF_A_REQUEST.search(entry.place or ""):
                continue
            if raw_only and not text.startswith("[Errno") and entry.level != "critical":
                continue
        elif not _RAW.search(text) or entry.stream in inside.get(index, ()):
            continue
        yield Sign((text.strip()[:LINE_CHARS],), index, entry, None, bool(ECHO.search(text)))
