"""Values of vLLM's charts."""

from vllmd.importing.containers.helm import is_values, specs_of_values
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import is_unknown
from vllmd.importing.yaml_values import documents


def read(model: str, notes: Notes | None = None) -> ContainerSpec:
    text = f"servingEngineSpec:\n  modelSpec:\n  - {{name: m, tag: v1, modelURL: org/m, {model}}}\n"
    (table,) = documents(text, "x")
    assert is_values(table)
    (spec,) = specs_of_values(table, "x", notes or Notes())
    return spec


def test_values_become_what_the_template_makes_of_them() -> None:
    spec = read("enableTool: true, vllmConfig: {enableChunkedPrefill: false, maxNumSeqs: 8}")
    assert spec.command == [
        *("org/m", "--host", "0.0.0.0", "--port", "8000", "--enable-auto-tool-choice"),
        *("--no-enable-chunked-prefill", "--no-enable-prefix-caching", "--max-num-seqs", "8"),
    ]
    assert spec.variables == {"HF_HOME": "/tmp"}


def test_secret_of_the_cluster_is_not_known() -> None:
    spec = read("hf_token: {secretName: s, secretKey: k}, env: [{name: A, valueFrom: {}}]")
    assert is_unknown(spec.variables["HF_TOKEN"])
    assert is_unknown(spec.variables["A"])


def test_values_that_are_not_read_are_refused() -> None:
    notes = Notes()
    read("vllmConfig: {newThing: 1}, raySpec: {}, lmcacheConfig: {enabled: true}", notes)
    assert [each.text.split(" ")[0] for each in notes.problems] == [
        *("vllmConfig.newThing", "lmcacheConfig", "raySpec")
    ]


def test_other_yaml_is_no_values() -> None:
    (table,) = documents("image: {repository: x}\n", "x")
    assert not is_values(table)


def test_variables_of_all_models_are_under_those_of_one() -> None:
    notes = Notes()
    text = "servingEngineSpec: {configs: {A: 1, B: 1}, modelSpec: [{name: m, tag: v1, modelURL: m, "
    (table,) = documents(f"{text}env: [{{name: B, value: 2}}]}}]}}", "x")
    (spec,) = specs_of_values(table, "x", notes)
    assert (spec.variables["A"], spec.variables["B"], notes.problems) == ("1", "2", [])


def test_engines_that_are_off_and_keys_that_are_not_read_are_refused() -> None:
    for text in (
        "servingEngineSpec: {enableEngine: false, modelSpec: [{name: m}]}",
        "servingEngineSpec: {newThing: 1, modelSpec: [{name: m}]}",
        "image: {repository: r, command: [vllm, serve, m], newThing: 1}",
    ):
        (table,) = documents(text, "x")
        notes = Notes()
        specs_of_values(table, "x", notes)
        assert len(notes.problems) == 1
