"""Values of Helm, of vLLM's own chart and of its production stack. Pure.

Source: vllm/examples/online_serving/chart-helm and production-stack/helm of the vLLM project: their
templates say what becomes of each value.
"""

from collections.abc import Container, Iterator
from typing import Any

from vllmd.importing.containers.options import SHARED_MEMORY
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place, mark
from vllmd.importing.yaml_values import Table, Text, items_in, table_in, text_of

_FLAGS = {
    "maxModelLen": "--max-model-len",
    "dtype": "--dtype",
    "tensorParallelSize": "--tensor-parallel-size",
    "maxNumSeqs": "--max-num-seqs",
    "gpuMemoryUtilization": "--gpu-memory-utilization",
    "maxLoras": "--max-loras",
}
_READ = frozenset({*_FLAGS, "enablePrefixCaching", "enableChunkedPrefill", "extraArgs", "v0", "v1"})
_OF_MODEL = frozenset(
    {"name", "repository", "tag", "modelURL", "vllmConfig", "env", "hf_token", "enableLoRA"}
    | {
        "enableTool",
        "toolCallParser",
        "chatTemplate",
        "pvcStorage",
        "replicaCount",
        "lmcacheConfig",
        "initContainer",
    }
)
_OF_CLUSTER = frozenset(
    {"requestCPU", "requestMemory", "requestGPU", "limitCPU", "limitMemory", "limitGPU"}
    | {"requestGPUType", "storageClass", "pvcAccessMode", "pvcMatchLabels", "nodeSelectorTerms"}
    | {"annotations", "podAnnotations", "serviceAccountName", "priorityClassName", "shmSize"}
    | {"imagePullSecret", "nodeName", "runtimeClassName"}
)
_OF_STACK = frozenset(
    {"enableEngine", "labels", "vllmApiKey", "modelSpec", "containerPort", "servicePort", "configs"}
    | {"strategy", "maxUnavailablePodDisruptionBudget", "tolerations", "runtimeClassName"}
    | {"schedulerName", "podSecurityContext", "containerSecurityContext", "securityContext"}
    | {"startupProbe", "livenessProbe", "readinessProbe", "extraPorts", "imagePullPolicy"}
    | {"serviceAccountName", "priorityClassName", "resources", "annotations", "podAnnotations"}
)
"""What the chart makes nothing of that vLLM would see, and what is read. Source: its README."""
_OF_IMAGE = frozenset({"repository", "tag", "command", "pullPolicy"})
_TEMPLATE = "'helm template' writes the manifests: import these"


def is_values(table: Table) -> bool:
    """Tell values of one of the charts from other YAML."""
    return bool(items_in(table, "servingEngineSpec", "modelSpec")) or (
        "repository" in table_in(table, "image") and "command" in table_in(table, "image")
    )


def specs_of_values(table: Table, source: str, notes: Notes) -> list[ContainerSpec]:
    """Return the containers that the charts make of their values."""
    stack = table_in(table, "servingEngineSpec")
    if items_in(stack, "modelSpec"):
        return _models(stack, source, notes)
    image = table_in(table, "image")
    _refuse_others(image, _OF_IMAGE, source, notes, "image.")
    place = Place(source, image.at("command"))
    spec = ContainerSpec(
        image=f"{text_of(image.get('repository'))}:{text_of(image.get('tag')) or 'latest'}",
        place=place,
        entrypoint=[str(each) for each in items_in(image, "command")],
        cluster=True,
    )
    spec.mounts.append(_data("the claim of the chart"))
    for kind in ("secrets", "configs"):
        for name, value in table_in(table, kind).items():
            spec.variables[name] = text_of(value) or ""
    if "externalConfigs" in table and items_in(table, "externalConfigs"):
        at = Place(source, table.at("externalConfigs"))
        notes.refuse(at, f"externalConfigs are of the cluster, and not in this file: {_TEMPLATE}")
    port = text_of(table.get("servicePort"))
    if port:
        spec.remark(f"servicePort: {port}: clients ask this host, at the port of the engine")
    _replicas(text_of(table.get("replicaCount")), spec)
    return [spec]


def _refuse_others(
    table: Table, known: Container[str], source: str, notes: Notes, before: str = ""
) -> None:
    """Refuse the keys that are not known; `before` is what their names begin with."""
    for key in table:
        if key not in known:
            notes.refuse(Place(source, table.at(key)), f"{before}{key} is not read: {_TEMPLATE}")


def _data(what: str) -> Mount:
    return Mount("/data", None, f"{what} (--mount /data=FOLDER names its folder here)")


def _replicas(count: str | None, spec: ContainerSpec) -> None:
    spec.autostart = count != "0"
    if count not in (None, "0", "1"):
        spec.remark(f"replicaCount: {count}: this is one of them: import it on each host")


def _models(stack: Table, source: str, notes: Notes) -> list[ContainerSpec]:
    """Return the models of the production stack."""
    if "enableEngine" in stack and not _is(stack["enableEngine"]):
        at = Place(source, stack.at("enableEngine"))
        notes.refuse(at, "enableEngine is not true: the chart starts no engine: set it if it is to")
        return []
    _refuse_others(stack, _OF_STACK, source, notes)
    return [_model(table_in(each), stack, source, notes) for each in items_in(stack, "modelSpec")]


def _model(model: Table, stack: Table, source: str, notes: Notes) -> ContainerSpec:
    """Return one model of the production stack."""
    place = Place(source, model.line)
    image = f"{text_of(model.get('repository')) or 'vllm/vllm-openai'}:{text_of(model.get('tag'))}"
    name = text_of(model.get("name")) or "vllm"
    spec = ContainerSpec(image=image, place=place, name=name, cluster=True)
    spec.entrypoint = ["vllm", "serve"]
    port = text_of(stack.get("containerPort")) or "8000"
    spec.command = [text_of(model.get("modelURL")) or "", "--host", "0.0.0.0", "--port", port]
    spec.command += _arguments(model, source, notes)
    for key, each in table_in(stack, "configs").items():
        spec.variables[key] = text_of(each) or ""
    spec.variables["HF_HOME"] = "/data" if "pvcStorage" in model else "/tmp"
    if "pvcStorage" in model:
        spec.mounts.append(_data(f"the claim of {name}"))
    for key, variable, value in (
        ("hf_token", "HF_TOKEN", model.get("hf_token")),
        ("vllmApiKey", "VLLM_API_KEY", stack.get("vllmApiKey")),
    ):
        if value is not None:
            at = Place(source, (model if key in model else stack).at(key))
            spec.variables[variable] = _secret(value, at)
    for each in items_in(model, "env"):
        entry = table_in(each)
        at = Place(source, entry.line)
        variable = text_of(entry.get("name")) or ""
        text = text_of(entry.get("value"))
        reason = f"it is in the cluster, and not in this file: {_TEMPLATE}"
        spec.variables[variable] = mark(f"${variable}", reason, at) if text is None else text
    if "tensorParallelSize" in table_in(model, "vllmConfig"):
        spec.remark(SHARED_MEMORY.format("/dev/shm"))
    if (gpus := text_of(model.get("requestGPU"))) not in (None, "0"):
        spec.remark(
            f"requestGPU: {gpus}: which GPUs of the host these are, env.CUDA_VISIBLE_DEVICES may "
            "say; without it vLLM takes the first"
        )
    if before := table_in(model, "initContainer"):
        name = text_of(before.get("name")) or "?"
        spec.remark(f"left out: initContainer ({name}): what it prepares must be there before")
    _replicas(text_of(model.get("replicaCount")), spec)
    _refuse_others(model, _OF_MODEL | _OF_CLUSTER, source, notes)
    return spec


def _secret(value: Any, place: Place) -> str:
    text = text_of(value)
    if text is not None:
        return text
    name = text_of(table_in(value).get("secretName"))
    key = text_of(table_in(value).get("secretKey"))
    how = f"kubectl get secret {name} -o jsonpath='{{.data.{key}}}' | base64 -d"
    return mark(f"the Secret {name}/{key}", f"it is not in this file; {how} shows it", place)


def _arguments(model: Table, source: str, notes: Notes) -> Iterator[str]:
    """Yield what the chart's template makes of a model's values, in its order."""
    config = table_in(model, "vllmConfig")
    if _is(model.get("enableLoRA")):
        yield "--enable-lora"
    if _is(model.get("enableTool")):
        yield "--enable-auto-tool-choice"
    if parser := text_of(model.get("toolCallParser")):
        yield from ("--tool-call-parser", parser)
    if "enableChunkedPrefill" in config:
        chunked = _is(config["enableChunkedPrefill"])
        yield "--enable-chunked-prefill" if chunked else "--no-enable-chunked-prefill"
    if config:
        caching = _is(config.get("enablePrefixCaching"))
        yield "--enable-prefix-caching" if caching else "--no-enable-prefix-caching"
    for key, flag in _FLAGS.items():
        if key in config:
            yield from (flag, text_of(config[key]) or "")
    yield from (str(each) for each in items_in(config, "extraArgs"))
    for key in config:
        if key not in _READ:
            at = Place(source, config.at(key))
            notes.refuse(at, f"vllmConfig.{key} is not read: {_TEMPLATE}")
    if _is(table_in(model, "lmcacheConfig").get("enabled")):
        at = Place(source, model.at("lmcacheConfig"))
        notes.refuse(at, f"lmcacheConfig is not read: {_TEMPLATE}")
    if template := text_of(model.get("chatTemplate")):
        yield from ("--chat-template", f"/templates/{template}")


def _is(value: Any) -> bool:
    """Tell whether a value is true to a template: not empty, not 0, not false."""
    return isinstance(value, Text) and value.lower() not in ("", "false", "0", "null", "no")
