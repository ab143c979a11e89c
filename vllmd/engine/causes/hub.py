"""The model hub: what it does not give, and when it cannot be reached."""

import re

from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told

_HUB = r"(?:huggingface\.co|hf\.co|hf-mirror|modelscope|cas-bridge|cdn-lfs)"
_NO_ANSWER = (
    r"(?:ConnectTimeout|ReadTimeout|ConnectionError|ConnectError|ReadError|RemoteProtocolError"
    r"|MaxRetryError|NameResolutionError|NewConnectionError|ProxyError|SSLError|ReadTimeoutError"
    r"|ConnectTimeoutError|IncompleteRead|ChunkedEncodingError|ProtocolError|TimeoutException"
    r"|ClientConnectorError|gaierror)"
)


def _model(found: Found) -> Told:
    name = re.search(r"(?:^|: |')([\w.-]+/[\w.-]+)'? is not a local folder", found.whole)
    folder = re.search(r"'(/[^']+)'", found.whole)
    if folder and re.search(r"Repo id must be|Invalid repository ID", found.whole):
        return Told(
            f"Look at 'ls -la {folder[1]}' as the engine's user: correct model in the "
            "configuration, or the folder's rights.",
            "The model's folder is not there, has no config.json, or the engine's user may not "
            "read it.",
        )
    if name is None:
        return Told()
    return Told(
        f"Correct model: {name[1]} is no repository that this token may see, and no folder here; "
        "a folder needs its absolute path."
    )


CAUSES = (
    Cause(
        name="model_gated",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="The model's owner gives it to accounts that were granted access only.",
        advice=(
            "Accept the model's terms on its page and give the engine a token "
            "(/etc/vllmd/credentials/hf_token)."
        ),
        signs={
            r"GatedRepoError": "huggingface_hub/errors.py",
            r"Access to model .* is restricted": "huggingface_hub: the hub's answer",
            r"[Yy]ou are trying to access a gated repo\.": "transformers/utils/hub.py",
            r"is a gated repository\. Make sure": "transformers/utils/hub.py",
            r"enable access to public gated repositories": "huggingface_hub: the hub's answer",
        },
    ),
    Cause(
        name="model_not_found",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "The model is neither a folder on this host nor a repository that can be reached."
        ),
        after_serving="Its folder can be removed under it: one that sleeps reads it as it wakes.",
        advice="Correct model in the engine's configuration; a folder needs its absolute path.",
        signs={
            r"RepositoryNotFoundError|RevisionNotFoundError": "huggingface_hub/errors.py",
            r"HFValidationError"
            r"|Repo id must be in the form": "huggingface_hub/utils/_validators.py",
            r"\b404 Client Error: .*modelscope": "modelscope/hub/errors.py",
            r"Incorrect path_or_model_id": "transformers/utils/hub.py",
            r"is not a local folder (?:and|or) (?:is not )?a valid": "transformers/utils/hub.py",
            r"OfflineModeIsEnabled|offline mode is enabled|outgoing traffic has been disabled": (
                "huggingface_hub/utils/_http.py and file_download.py"
            ),
            r"does not appear to have (?:a file|files) named": "transformers/utils/hub.py",
            r"Invalid repository ID or local directory specified": (
                "vllm/transformers_utils/config.py since 0.8"
            ),
            r"Could not detect config format|No supported config format found": (
                "vllm/transformers_utils/config.py since 0.6"
            ),
            r"is not a valid git identifier"
            r"|is not the path to a directory containing .* config\.json$": (
                "transformers/utils/hub.py"
            ),
            r"No such file or directory: '[^']*/config\.json'": "Python: opening config.json",
        },
        unless=r"couldn't connect to|specific connection error",
        told=_model,
    ),
    Cause(
        name="hub_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="The model hub did not answer, or not as it should.",
        advice=(
            "Another start tries again. If it stays: look at the network, a proxy and "
            "HF_ENDPOINT, or "
            "download the model once and set model to its folder."
        ),
        signs={
            r"couldn't connect to '": "transformers/utils/hub.py",
            r"specific connection error when trying to load": "transformers/utils/hub.py",
            r"locate the file on the Hub and we cannot find": "huggingface_hub/file_download.py",
            r"find the appropriate snapshot folder for the specified revision": (
                "huggingface_hub/_snapshot_download.py"
            ),
            rf"{_NO_ANSWER}\b.*{_HUB}|{_HUB}.*{_NO_ANSWER}": "requests, httpx, urllib3",
            rf"(?:429|5\d\d) (?:Client|Server) Error.*{_HUB}": "huggingface_hub/utils/_http.py",
            rf"403 (?:Client Error|Forbidden).*{_HUB}": "a proxy on the way",
            r"HfHubHTTPError: (?:429|5\d\d)": "huggingface_hub/errors.py",
            r"LocalEntryNotFoundError\b": "huggingface_hub/errors.py: nor is it in the cache",
            r"Consistency check failed: file should be of size": "huggingface_hub/file_download.py",
            r"error downloading or loading vocab file": "openai_harmony, of vllm's gpt-oss",
            r"CAS (?:service|[Cc]lient) [Ee]rror|File reconstruction error"
            r"|Background writer channel|Data processing error.*(?:[Rr]equest|[Tt]imeout)": (
                "hf_xet"
            ),
        },
        frames=(
            Frame(
                r"huggingface_hub/|transformers/utils/hub\.py|hf_xet|modelscope/",
                rf"{_NO_ANSWER}\b|ConnectionResetError|TimeoutError|RemoteDisconnected",
                "requests, httpx, urllib3 under huggingface_hub",
            ),
        ),
        refines=frozenset({"model_not_found"}),
        hint=rf"{_NO_ANSWER}|name resolution|\b(?:429|5\d\d) (?:Client|Server) Error",
        answered=r"(?:Repository|Revision) ?Not ?Found|\b401 Client Error",
        unless=(
            r"No space left|os error \d+|offline mode is enabled|outgoing traffic"
            r"|access a gated repo\."
        ),
    ),
    Cause(
        name="hub_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.HOST,
        explanation="A server that the engine fetches files from did not answer as it should.",
        advice=(
            "Another start tries again. If it stays: look at the network, a proxy and HF_ENDPOINT."
        ),
        signs={
            rf"^(?:requests|urllib3|httpx|httpcore|aiohttp)\.\S*?{_NO_ANSWER}\b": (
                "requests, httpx, urllib3"
            ),
            r"Failed to (?:download|fetch) https?://": "flashinfer/jit/cubin_loader.py",
            r"HfHubHTTPError: (?!40[13])\d{3}\b": "huggingface_hub/errors.py",
            r"[Ee]rror occurred while downloading using": "huggingface_hub/file_download.py",
        },
    ),
    Cause(
        name="config_rejected",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        starting=True,
        explanation="The address of a proxy or of the model hub is none that can be used.",
        advice=(
            "Correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or HF_ENDPOINT in the engine's env; for a "
            "SOCKS proxy install 'requests[socks]' and 'httpx[socks]'."
        ),
        signs={
            r"^requests\.exceptions\.(?:(?:Invalid|Missing)Schema|Invalid(?:Proxy)?URL)\b": (
                "requests/exceptions.py"
            ),
            r"^httpx\.(?:UnsupportedProtocol|InvalidURL)\b": "httpx/_exceptions.py",
        },
    ),
    Cause(
        name="model_gated",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="The model hub does not take the engine's token for this model.",
        advice=(
            "Accept the model's terms on its page and give the engine a token that is valid "
            "(/etc/vllmd/credentials/hf_token)."
        ),
        signs={
            r"401 Client Error|Invalid (?:username or password|credentials in)": "the hub's answer"
        },
        unless=r"RepositoryNotFoundError",
    ),
)
