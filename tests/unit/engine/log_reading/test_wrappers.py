import json

import pytest

from tests.helpers.each import of_each
from vllmd.engine.log_reading.wrappers import bare_lines, strip

LINE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] x"
FRAME = '  File "/a/b.py", line 3, in load'
WRAPPERS = {
    "compose": "vllm-1  | ",
    "compose with a dot": "llm.gpu-1 | ",
    "docker swarm": "llm_vllm.1.k3j2h1@gpu01    | ",
    "PM2": "0|vllm  | ",
    "a stamp and a bar": "2026-11-28 21:05:03.123 | ",
    "docker -t": "2026-11-28T21:05:03.123456789Z ",
    "journald": "Nov 28 21:05:03 gpu01 vllm[4711]: ",
    "journald, a unit's name": "Nov 28 21:05:03 gpu01 vllmd-engine@1-2.service[4711]: ",
    "journald, iso": "2026-11-28T21:05:03+0100 gpu01 vllm[4711]: ",
    "CRI": "2026-11-28T21:05:03.123456789Z stderr F ",
    "kubectl --prefix": "[pod/vllm-7d9f-x2/vllm] ",
    "kubectl and CRI": "[pod/vllm-7d9f-x2/vllm] 2026-11-28T21:05:03.12Z stdout F ",
    "a stamp in brackets": "[2026-11-28T21:05:03Z] ",
    "a stamp": "2026-11-28 21:05:03,123 ",
    "Modal": "Nov 28  21:05:03.123 | ",
    "Google": "INFO 2026-11-28T21:05:03.1Z [resource.labels.containerName: vllm] ",
    "LocalAI": "[llm]        | ",
    "SageMaker": "WARN  PyProcess W-162-chat-stderr: [1,0]<stderr>:",
    "SageMaker, older": "[INFO ] PyProcess - W-252-model-stdout: ",
}


@of_each(WRAPPERS)
def test_strip_takes_a_wrapper_off_and_leaves_the_indent(name: str) -> None:
    for line in (LINE, FRAME, "Traceback (most recent call last):"):
        assert strip(WRAPPERS[name] + line) == line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[36m(EngineCore pid=7)\x1b[0m ERROR", "(EngineCore pid=7) ERROR"),
        (f"{LINE}\r\n", LINE),
        ("#033[36m(EngineCore pid=7)#033[0m ERROR#015", "(EngineCore pid=7) ERROR"),
        ("  File “/a/b.py”, line 3, in load#015", "  File “/a/b.py”, line 3, in load"),
        ("  0%|   |\r 50%|#  |\r100%|###|", "100%|###|"),
        (f"│ {LINE}      │", LINE),
        ("", ""),
    ],
)
def test_strip_knows_terminals(line: str, expected: str) -> None:
    assert strip(line) == expected


def test_bare_lines_learn_a_wrapper_that_is_not_known() -> None:
    lines = [f"<14>{n} app-{n} says> {text}" for n, text in enumerate([LINE, LINE, FRAME])]
    assert [bare.text for bare in bare_lines(lines)] == [LINE, LINE, FRAME]


def test_bare_lines_of_json_records_have_their_level_and_traceback() -> None:
    record = {"levelname": "ERROR", "processName": "EngineCore", "message": "no\nluck"}
    lines = [json.dumps({**record, "exc_info": "Traceback (most recent call last):\nE: x"})]
    found = list(bare_lines(lines))
    assert [b.text for b in found] == ["no", "luck", "Traceback (most recent call last):", "E: x"]
    assert {(b.level, b.process) for b in found} == {("ERROR", "EngineCore")}


def test_bare_lines_of_containers_and_journals_in_json_are_what_was_printed() -> None:
    docker = json.dumps({"log": f"{LINE}\n", "stream": "stderr", "time": "2026-11-28T21:05:03Z"})
    journal = json.dumps({"MESSAGE": list(LINE.encode()), "PRIORITY": "3"})
    assert [bare.text for bare in bare_lines([docker, journal])] == [LINE, LINE]


def test_bare_lines_join_what_a_container_runtime_has_cut() -> None:
    stamp = "2026-11-28T21:05:03.1Z stdout"
    lines = [f"{stamp} P {LINE[:20]}", f"{stamp} F {LINE[20:]}", f"{stamp} F {FRAME}"]
    assert [bare.text for bare in bare_lines(lines)] == [LINE, FRAME]


def test_bare_lines_join_what_was_cut_of_one_stream_only() -> None:
    at = "2025-11-23T10:00:05.1Z "
    lines = (
        f"{at}stdout P INFO: a",
        f"{at}stderr F ValueError: x",
        f"{at}stdout P 2025-11-23 10:00:05 b",
        f"{at}stdout F c",
    )
    assert [bare.text for bare in bare_lines(lines)] == ["ValueError: x", "INFO: abc"]


def test_bare_lines_leave_other_braces_alone() -> None:
    assert [b.text for b in bare_lines(["{not json", "{}", '{"a": 1}'])] == [
        "{not json",
        "{}",
        '{"a": 1}',
    ]


ALONE = ("Traceback (most recent call last):", FRAME, "    load()", "ValueError: x")
"""What a program says that ends before it logs anything."""


@pytest.mark.parametrize(
    "before",
    [
        "[INFO] vllm: ",
        "2026-11-28 21:05:03 +0000 - vllm - ERROR - ",
        '2026-11-28T21:05:03Z {app="vllm", pod="vllm-0"} ',
        "default/vllm-7c9d[vllm]: ",
        "vllm-7c9d vllm ",
        "[1,0]<stderr>:",
        "> ",
    ],
)
@pytest.mark.parametrize("printed", [(LINE, *ALONE), ALONE])
def test_bare_lines_learn_what_stands_before_every_line(
    before: str, printed: tuple[str, ...]
) -> None:
    bare = [*bare_lines([before + line for line in printed])]
    assert [(each.text, each.level) for each in bare] == [(line, None) for line in printed]


def test_bare_lines_take_no_head_of_vllm_for_a_wrapper() -> None:
    heads = [LINE.removesuffix("x") + line for line in ALONE]
    assert [each.text for each in bare_lines(heads)] == heads


@pytest.mark.parametrize(
    "record",
    [
        {"line": "@", "timestamp": "t"},
        {"labels": {"app": "vllm"}, "line": "@"},
        {"insertId": "a", "textPayload": "@", "severity": "ERROR"},
        {"insertId": "a", "jsonPayload": {"message": "@"}, "severity": "INFO"},
        {"id": "A", "content": {"message": "@", "service": "vllm"}},
        {"id": "A", "type": "log", "attributes": {"status": "info", "message": "@"}},
        {"_index": "logs", "_source": {"@timestamp": "t", "message": "@"}},
        {"TimeStamp": "t", "Log": "@"},
        {"TimeGenerated": "t", "LogMessage": "@"},
        {"body": "@", "resource": {}},
    ],
    ids="-".join,
)
def test_bare_lines_of_exports_are_what_was_printed_of_no_level(record: dict[str, object]) -> None:
    lines = [json.dumps(record).replace('"@"', json.dumps(line)) for line in (LINE, *ALONE)]
    bare = [*bare_lines(lines)]
    assert [(each.text, each.level) for each in bare] == [(line, None) for line in (LINE, *ALONE)]


@pytest.mark.parametrize(
    "tag",
    ["2026-11-28 21:05:03 +0000 docker.vllm: {}", "[0] kube.var.log: [[1696215845.1, {{}}], {}]"],
)
def test_bare_lines_read_what_fluentd_and_fluent_bit_print(tag: str) -> None:
    lines = [tag.format(json.dumps({"log": line, "stream": "stderr"})) for line in (LINE, *ALONE)]
    assert [each.text for each in bare_lines(lines)] == [LINE, *ALONE]


def test_bare_lines_read_what_programs_in_go_pass_on() -> None:
    before = 'time="2026-11-28T21:05:03Z" level=info msg='
    lines = [f"{before}{json.dumps(line)} component=vllm" for line in (LINE, *ALONE)]
    assert [each.text for each in bare_lines(lines)] == [LINE, *ALONE]
    assert strip(before + r'"a \x b"') == r"a \x b"


def test_bare_lines_of_an_export_that_begins_with_the_newest_are_turned_round() -> None:
    records = [
        {"textPayload": line, "timestamp": f"2026-11-28T21:05:0{n}Z"}
        for n, line in enumerate(ALONE)
    ]
    whole = json.dumps(records[::-1], indent=2).split("\n")
    assert [each.text for each in bare_lines(whole)] == [*ALONE]
    assert [each.text for each in bare_lines([*map(json.dumps, records[::-1])])] == [*ALONE]
    assert [each.text for each in bare_lines([*map(json.dumps, records)])] == [*ALONE]


def test_bare_lines_with_times_of_day_are_not_turned_round_at_midnight() -> None:
    stamps = ("23:59:58", "23:59:59", "00:00:01", "00:00:02")
    lines = [
        json.dumps({"message": line, "time": at})
        for line, at in zip((LINE, *ALONE), stamps, strict=False)
    ]
    printed = [LINE, *ALONE][: len(lines)]
    assert [each.text for each in bare_lines(lines)] == printed


@pytest.mark.parametrize(
    "head",
    [
        "(APIServer pid=7) ",
        "INFO 11-28 21:05:03 [logger.py:1] ",
        "INFO:     ",
    ],
)
def test_bare_lines_with_json_in_what_an_engine_says_stay_whole(head: str) -> None:
    said = f"{head}got " + json.dumps({"message": "CUDA out of memory", "source": "a client"})
    assert [each.text for each in bare_lines([said])] == [said]


def test_bare_lines_leave_out_what_supervisord_says_between() -> None:
    said = "2026-11-28 21:05:03,123 DEBG 'vllm' stderr output:"
    assert [each.text for each in bare_lines([said, ALONE[0], said, *ALONE[1:]])] == [*ALONE]


@pytest.mark.parametrize("line", ["[", "[{", '[{"textPayload": ', "{", '{"line": "cut', "[1, 2]"])
def test_bare_lines_of_a_broken_export_are_left_as_they_are(line: str) -> None:
    assert [each.text for each in bare_lines([line, "ValueError: x"])][-1] == "ValueError: x"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-28 21:05:03 Traceback (most recent call last):",
        '  File "/opt/vllm/serve.py", line 9, in main',
        "vllm serve: error: unrecognized arguments: --x",
        "[llm]  | (APIServer pid=1) ValueError: x",
    ],
)
def test_bare_lines_of_records_with_captured_lines_have_no_level_of_the_collector(
    line: str,
) -> None:
    records = [{"level": "INFO", "message": line}, {"level": "INFO", "message": "ValueError: x"}]
    assert {each.level for each in bare_lines([*map(json.dumps, records)])} == {None}


def test_bare_lines_take_no_exception_that_quotes_a_traceback_for_a_wrapper() -> None:
    trace = ["RuntimeError: Traceback (most recent call last):", FRAME, "ValueError: x"]
    assert [each.text for each in bare_lines([*trace, *trace])] == [*trace, *trace]


@pytest.mark.parametrize(
    "bar",
    [
        "Processed prompts:  47%|████▋     | 30/64 [00:10<00:12,  2.77it/s, output: 481.12 toks/s]",
        "Capturing CUDA graphs (decode, FULL):  34%|███▍      | 12/35 [00:01<00:02,  9.93it/s]",
    ],
)
def test_bare_lines_have_no_bar_before_what_a_process_logged(bar: str) -> None:
    assert strip(bar + LINE) == LINE
    assert strip(f"{bar}ERROR 11-23 19:06:44 [a.py:1] x") == "ERROR 11-23 19:06:44 [a.py:1] x"
    assert strip(bar) == bar


def test_bare_lines_of_cat_v_have_no_marks_of_colours_and_of_the_line_s_end() -> None:
    assert strip("^[[36m(Worker pid=2)^[[0m x^M") == "(Worker pid=2) x"


@pytest.mark.parametrize(
    "before",
    ["j6zswihe185nfq[error]", "[INFO] vllm: ", '2026-11-28T21:00:00Z {app="vllm", pod="vllm-0"} '],
)
def test_strip_knows_a_wrapper_though_there_is_one_line_alone(before: str) -> None:
    assert strip(f"{before}vllm: command not found") == "vllm: command not found"


def test_bare_lines_have_no_empty_line_that_was_put_after_each() -> None:
    doubled = [part for line in ALONE for part in (line, "")] * 9
    assert [each.text for each in bare_lines(doubled)] == [*ALONE] * 9
    assert [each.text for each in bare_lines([ALONE[0], "", *doubled])] == [ALONE[0], *ALONE * 9]
    few = [*ALONE, "", *ALONE]
    assert [each.text for each in bare_lines(few)] == few
