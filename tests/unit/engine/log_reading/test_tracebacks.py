import json

from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.engine.log_reading.tracebacks import read_exceptions

TRACE = """Traceback (most recent call last):
  File "/a/hub.py", line 3, in get
    response.raise_for_status()
requests.exceptions.HTTPError: 401 Client Error

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/venv/bin/vllm", line 4, in <module>
    main()
  File "/a/model.py", line 9, in load
    ^^^^^^
OSError: m is no model
Say it otherwise.
"""


def exceptions(text: str, prefix: str = "") -> list[Thrown]:
    return read_exceptions(read_entries([prefix + line for line in text.splitlines()]))


def test_read_exceptions_link_a_chain_and_keep_the_lines_of_a_message() -> None:
    first, second = exceptions(TRACE)
    assert (first.type, first.message) == ("requests.exceptions.HTTPError", "401 Client Error")
    assert second.before is first
    assert first.before is None
    assert second.more == ("Say it otherwise.",)
    assert second.functions == ("<module>", "load")
    assert second.files[1] == "/a/model.py"
    assert second.is_main
    assert not first.is_main


def test_read_exceptions_of_processes_that_print_at_once_are_kept_apart() -> None:
    one = [f"(Worker_TP0 pid=1) ERROR 11-23 19:06:44 [m.py:5] {x}" for x in TRACE.splitlines()[:4]]
    two = [line.replace("TP0 pid=1", "TP1 pid=2").replace("401", "402") for line in one]
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    found = read_exceptions(read_entries(mixed))
    assert [each.message for each in found] == ["401 Client Error", "402 Client Error"]
    assert all(each.files == ("/a/hub.py",) for each in found)


def test_read_exceptions_know_a_header_in_the_line_of_the_traceback_and_before_it() -> None:
    lines = TRACE.splitlines()[:4]
    (inside,) = exceptions("\n".join(["EngineCore hit an exception: " + lines[0], *lines[1:]]))
    assert inside.header == "EngineCore hit an exception:"
    prefix = "ERROR 11-23 19:06:44 [core.py:5] "
    (before,) = exceptions("\n".join(["EngineCore failed to start.", *lines]), prefix)
    assert before.header == "EngineCore failed to start."


def test_read_exceptions_take_a_line_without_a_traceback_only_by_its_look() -> None:
    found = exceptions("fine\nValueError: no\nnote: yes\nKeyError")
    assert [each.text for each in found] == ["ValueError: no", "KeyError"]
    (repr_,) = exceptions("OutOfMemoryError('it ran out')", "ERROR 11-23 19:06:44 engine.py:135] ")
    assert repr_.message == "it ran out"


def test_read_exceptions_of_a_lower_level_are_none() -> None:
    assert exceptions(TRACE, "WARNING 11-23 19:06:44 [a.py:5] ") == []


def test_read_exceptions_that_nobody_waits_for_are_marked() -> None:
    text = "Exception ignored in: <function f>\n" + "\n".join(TRACE.splitlines()[:4])
    assert [each.ignored for each in exceptions(text)] == [True]


def test_read_exceptions_whose_indents_a_collector_took_away() -> None:
    flat = "\n".join(line.strip() for line in TRACE.splitlines() if "^" not in line)
    first, second = exceptions(flat, "ERROR 2025-03-30T23:51:21.3Z [rank0]: ")
    assert first.files == ("/a/hub.py",)
    assert second.before is first
    assert second.message == "m is no model"


def test_read_exceptions_of_one_record_have_no_lines_of_the_next() -> None:
    record = {"levelname": "ERROR", "name": "vllm.core", "message": "failed"}
    first = json.dumps({**record, "exc_info": "KeyError: 'a'"})
    (found,) = read_exceptions(read_entries([first, json.dumps(record)]))
    assert found.more == ()


def test_read_exceptions_of_a_request_are_marked_by_the_line_above_with_all_of_their_chain() -> (
    None
):
    text = f"ERROR:    Exception in ASGI application\n{TRACE}"
    assert [each.ignored for each in exceptions(text)] == [True, True]


def test_read_exceptions_know_the_frames_of_a_traceback_whose_beginning_is_cut_off() -> None:
    cut = "\n".join(TRACE.splitlines()[2:4])
    [first] = exceptions("    return get(\n" + "\n".join(TRACE.splitlines()[1:4]))
    assert (first.files, first.functions) == (("/a/hub.py",), ("get",))
    assert first.has_traceback
    [bare] = exceptions(cut)
    assert not bare.files


def test_read_exceptions_take_no_frame_behind_a_sentence_for_a_traceback() -> None:
    [found] = exceptions('Thread 1 is at\n  File "/a/b.py", line 3, in get\nKeyError: x')
    assert not found.files


def test_read_exceptions_of_a_traceback_that_a_message_or_a_document_quotes() -> None:
    quoted = "RuntimeError: " + TRACE.split("\n\n", maxsplit=1)[0]
    (only,) = exceptions(quoted, prefix="      ")
    assert (only.type, only.functions) == ("requests.exceptions.HTTPError", ("get",))
    assert only.end == 4


def test_read_exceptions_know_one_of_a_module_whose_name_begins_with_a_small_letter() -> None:
    (only,) = exceptions("nixl._bindings.nixlBackendError: NIXL_ERR_BACKEND")
    assert only.message == "NIXL_ERR_BACKEND"
    assert exceptions("an error: of words\nlastError: 5") == []


def test_module_that_python_runs_is_the_program_and_not_imported() -> None:
    run = ["_run_module_as_main", "_run_code", "<module>", "add_argument"]
    imported = [*run[:3], "<module>", "add_argument"]
    for functions, at_import in ((run, False), (imported, True), (imported[2:], True)):
        frames = [f'  File "/a/b.py", line 3, in {name}' for name in functions]
        text = "\n".join(["Traceback (most recent call last):", *frames, "TypeError: x"])
        (only,) = exceptions(text)
        assert only.at_import is at_import


def test_read_exceptions_have_the_frames_that_ray_puts_behind_its_own_exception() -> None:
    ray = "ray.exceptions.RayTaskError(ValueError): ray::Worker.f() (pid=9, ip=192.0.2.7)"
    own, other = '  File "/a/core.py", line 1, in get', '  File "/a/model.py", line 2, in forward'
    lines = [
        "Engine failed",
        "Traceback (most recent call last):",
        own,
        ray,
        other,
        "ValueError: x",
    ]
    (only,) = exceptions("\n".join(lines), prefix="ERROR 11-23 19:06:44 [a.py:1] ")
    assert (only.text, only.header) == ("ValueError: x", "Engine failed")
    assert only.functions == ("get", "forward")


def test_read_exceptions_know_an_exception_by_its_words_alone() -> None:
    uncaught = (
        "Uncaught exception | <class 'ValueError'>; no such model; <traceback object at 0x7>;"
    )
    (only,) = exceptions(uncaught)
    assert only.text == "ValueError: no such model"
    (only,) = exceptions("Exception: could not read the file")
    assert only.text == "Exception: could not read the file"


def test_read_exceptions_reads_the_traceback_of_a_notebook() -> None:
    (one,) = exceptions(
        """OutOfMemoryError                          Traceback (most recent call last)
Cell In[13], line 43
     41     raise ValueError(model)
---> 43 llm = LLM(

File ~/v/lib/python3.11/site-packages/vllm/entrypoints/llm.py:123, in LLM.__init__(self, model)
--> 123 self.llm_engine = LLMEngine.from_engine_args(

/opt/v/site-packages/torch/_ops.py in __call__(self, *args)
--> 854     return self._op(*args)

OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
It said more."""
    )
    assert one.functions == ("<module>", "__init__", "__call__")
    assert one.files[1:] == (
        "~/v/lib/python3.11/site-packages/vllm/entrypoints/llm.py",
        "/opt/v/site-packages/torch/_ops.py",
    )
    assert one.message == "CUDA out of memory. Tried to allocate 2 GiB"
    assert one.more == ("It said more.",)
    assert one.is_main


def test_read_exceptions_knows_one_with_its_module_by_that_alone() -> None:
    (one,) = exceptions("triton.runtime.errors.OutOfResources: shared memory, Required: 66560")
    assert (one.name, one.has_traceback) == ("OutOfResources", False)
    assert exceptions("vllm.Cli: words, of no module of a package") == []
