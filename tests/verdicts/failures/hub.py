"""The model hub: what it refuses, and when it cannot be reached."""

from tests.verdicts.model import Phase, Raised, Who, failure

URL = "https://huggingface.co/acme/chat-8b/resolve/main/config.json"
HTTP = "huggingface_hub/utils/_http.py"
DOWNLOAD = "huggingface_hub/file_download.py"
POOL = "HTTPSConnectionPool(host='huggingface.co', port=443)"
NOT_CONNECTED = (
    "We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.\n"
    "Check your internet connection or see how to run the library in offline mode at "
    "'https://huggingface.co/docs/transformers/installation#offline-mode'."
)
LOCAL = (
    "An error happened while trying to locate the file on the Hub and we cannot find the requested files in the local "
    "cache. Please check your connection and try again or make sure your Internet connection is on."
)


def _http(code: str, name: str = "requests.exceptions.HTTPError") -> Raised:
    return Raised(
        name, f"{code} for url: {URL}", HTTP, "hf_raise_for_status", "response.raise_for_status()"
    )


FAILURES = (
    failure(
        "gated",
        Phase.CONFIGURATION,
        Who.API,
        "model_gated",
        True,
        "Cannot access gated repo",
        "huggingface_hub/utils/_http.py, hf_raise_for_status; transformers/utils/hub.py",
        _http("403 Client Error: Forbidden"),
        Raised(
            "huggingface_hub.errors.GatedRepoError",
            f"403 Client Error. (Request ID: Root=1-68f0)\n\nCannot access gated repo for url {URL}.\nAccess to model acme/chat-8b is restricted and you are not in the authorized list. Visit https://huggingface.co/acme/chat-8b to ask for access.",
            HTTP,
            "hf_raise_for_status",
            "raise _format(GatedRepoError, message, response) from e",
        ),
        Raised(
            "OSError",
            "You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/acme/chat-8b.\n403 Client Error. (Request ID: Root=1-68f0)",
            "transformers/utils/hub.py",
            "cached_files",
            "raise OSError(",
        ),
        versions=("0.6.6", "0.8.5", "0.11.0", "0.25.1"),
    ),
    failure(
        "gated-without-a-token",
        Phase.CONFIGURATION,
        Who.API,
        "model_gated",
        True,
        "Cannot access gated repo",
        "huggingface_hub/utils/_http.py, hf_raise_for_status",
        _http("401 Client Error: Unauthorized", "httpx.HTTPStatusError"),
        Raised(
            "huggingface_hub.errors.GatedRepoError",
            f"401 Client Error. (Request ID: Root=1-68f1)\n\nCannot access gated repo for url {URL}.\nAccess to model acme/chat-8b is restricted. You must have access to it and be authenticated to access it. Please log in.",
            HTTP,
            "hf_raise_for_status",
            "raise _format(GatedRepoError, message, response) from e",
        ),
        versions=("0.9.1", "0.32.0"),
    ),
    failure(
        "token-expired",
        Phase.CONFIGURATION,
        Who.API,
        "model_gated",
        True,
        "401 Client Error",
        "huggingface_hub/utils/_http.py, hf_raise_for_status: a bad token is no missing repository",
        _http("401 Client Error: Unauthorized"),
        Raised(
            "huggingface_hub.errors.HfHubHTTPError",
            f"401 Client Error: Unauthorized for url: {URL} (Request ID: Root=1-68f2)\n\nInvalid credentials in Authorization header",
            HTTP,
            "hf_raise_for_status",
            "raise _format(HfHubHTTPError, str(e), response) from e",
        ),
        versions=("0.8.5", "0.19.0"),
    ),
    failure(
        "no-such-repository",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "is not a valid model identifier",
        "huggingface_hub/utils/_http.py; transformers/utils/hub.py, cached_files",
        _http("404 Client Error: Not Found"),
        Raised(
            "huggingface_hub.errors.RepositoryNotFoundError",
            f"404 Client Error. (Request ID: Root=1-68f3)\n\nRepository Not Found for url: {URL}.\nPlease make sure you specified the correct `repo_id` and `repo_type`.\nIf you are trying to access a private or gated repo, make sure you are authenticated.",
            HTTP,
            "hf_raise_for_status",
            "raise _format(RepositoryNotFoundError, message, response) from e",
        ),
        Raised(
            "OSError",
            "acme/chat-8b is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'\nIf this is a private repository, make sure to pass a token having permission to this repo either by logging in with `hf auth login` or by passing `token=<your_token>`",
            "transformers/utils/hub.py",
            "cached_files",
            "raise OSError(",
        ),
        versions=("0.6.6", "0.9.1", "0.11.0"),
    ),
    failure(
        "no-such-repository-401",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Repository Not Found",
        "huggingface_hub/utils/_http.py, hf_raise_for_status: 401 is misleading",
        _http("401 Client Error: Unauthorized", "httpx.HTTPStatusError"),
        Raised(
            "huggingface_hub.errors.RepositoryNotFoundError",
            f"401 Client Error. (Request ID: Root=1-68f4)\n\nRepository Not Found for url: {URL}.\nPlease make sure you specified the correct `repo_id` and `repo_type`.\nIf you are trying to access a private or gated repo, make sure you are authenticated and your token has the required permissions.\nInvalid username or password.",
            HTTP,
            "hf_raise_for_status",
            "raise _format(RepositoryNotFoundError, message, response) from e",
        ),
        versions=("0.10.1", "0.19.0", "0.32.0"),
    ),
    failure(
        "no-such-revision",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Revision Not Found",
        "huggingface_hub/utils/_http.py, hf_raise_for_status",
        _http("404 Client Error: Not Found"),
        Raised(
            "huggingface_hub.errors.RevisionNotFoundError",
            f"404 Client Error. (Request ID: Root=1-68f5)\n\nRevision Not Found for url: {URL}.\nInvalid rev id: v2",
            HTTP,
            "hf_raise_for_status",
            "raise _format(RevisionNotFoundError, message, response) from e",
        ),
        versions=("0.8.5", "0.25.1"),
    ),
    failure(
        "not-a-repository-name",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Repo id must be in the form",
        "huggingface_hub/utils/_validators.py, validate_repo_id",
        Raised(
            "huggingface_hub.errors.HFValidationError",
            "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/srv/models/chat-8b'. Use `repo_type` argument if needed.",
            "huggingface_hub/utils/_validators.py",
            "validate_repo_id",
            "raise HFValidationError(",
        ),
        versions=("0.6.6", "0.8.5", "0.11.0", "0.33.0"),
        config="ModelConfig",
    ),
    failure(
        "no-config-in-the-folder",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "does not appear to have a file named config.json",
        "transformers/utils/hub.py, cached_files",
        Raised(
            "OSError",
            "/srv/models/chat-8b does not appear to have a file named config.json. Checkout 'https://huggingface.co//srv/models/chat-8b/tree/None' for available files.",
            "transformers/utils/hub.py",
            "cached_files",
            "raise OSError(",
        ),
        versions=("0.7.3", "0.11.0", "0.19.0"),
    ),
    failure(
        "offline-and-not-in-the-cache",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "offline mode is enabled",
        "huggingface_hub/utils/_http.py: HF_HUB_OFFLINE",
        Raised(
            "huggingface_hub.errors.OfflineModeIsEnabled",
            f"Cannot reach {URL}: offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable.",
            HTTP,
            "send",
            "raise OfflineModeIsEnabled(",
        ),
        Raised(
            "huggingface_hub.errors.LocalEntryNotFoundError",
            LOCAL,
            DOWNLOAD,
            "_raise_on_head_call_error",
            "raise LocalEntryNotFoundError(",
        ),
        versions=("0.9.1", "0.19.0"),
    ),
    failure(
        "disk-full-while-downloading",
        Phase.LOADING,
        Who.CORE,
        "disk_full",
        True,
        "No space left on device",
        "write(2), ENOSPC, in huggingface_hub/file_download.py, http_get",
        Raised(
            "OSError",
            "[Errno 28] No space left on device",
            DOWNLOAD,
            "http_get",
            "temp_file.write(chunk)",
        ),
        versions=("0.6.6", "0.8.5", "0.19.0"),
    ),
    failure(
        "disk-full-xet",
        Phase.LOADING,
        Who.CORE,
        "disk_full",
        True,
        "No space left on device",
        "hf_xet, download_files; huggingface_hub/file_download.py, xet_get",
        Raised(
            "RuntimeError",
            "Data processing error: CAS service error : IO Error: No space left on device (os error 28)",
            DOWNLOAD,
            "xet_get",
            "download_files(",
        ),
        versions=("0.10.1", "0.11.0", "0.32.0"),
    ),
)
