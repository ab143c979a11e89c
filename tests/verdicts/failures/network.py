"""The way to the model hub: when it cannot be reached, or not for long enough."""

from tests.verdicts.model import DURING, OLD, V1, Phase, Raised, Who, failure

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
        "hub-not-reachable",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "We couldn't connect to",
        "requests, urllib3; huggingface_hub/file_download.py; transformers/utils/hub.py",
        Raised(
            "requests.exceptions.ConnectionError",
            f"(MaxRetryError(\"{POOL}: Max retries exceeded with url: /acme/chat-8b/resolve/main/config.json (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f3>: Failed to establish a new connection: [Errno 101] Network is unreachable'))\"), '(Request ID: 4711)')",
            "requests/adapters.py",
            "send",
            "raise ConnectionError(e, request=request)",
        ),
        Raised(
            "huggingface_hub.errors.LocalEntryNotFoundError",
            LOCAL,
            DOWNLOAD,
            "_raise_on_head_call_error",
            "raise LocalEntryNotFoundError(",
        ),
        Raised(
            "OSError", NOT_CONNECTED, "transformers/utils/hub.py", "cached_files", "raise OSError("
        ),
        versions=("0.6.6", "0.8.5", "0.11.0", "0.19.0"),
    ),
    failure(
        "hub-has-no-address",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "Temporary failure in name resolution",
        "httpx; getaddrinfo EAI_AGAIN",
        Raised(
            "httpcore.ConnectError",
            "[Errno -3] Temporary failure in name resolution",
            "httpcore/_exceptions.py",
            "map_exceptions",
            "raise to_exc(exc) from exc",
        ),
        Raised(
            "httpx.ConnectError",
            "[Errno -3] Temporary failure in name resolution",
            "httpx/_transports/default.py",
            "map_httpcore_exceptions",
            "raise mapped_exc(message) from exc",
        ),
        versions=("0.25.1", "0.32.0"),
    ),
    failure(
        "hub-read-timeout",
        Phase.LOADING,
        Who.CORE,
        "hub_unreachable",
        False,
        "Read timed out",
        "requests/adapters.py, send",
        Raised(
            "requests.exceptions.ReadTimeout",
            f"(ReadTimeoutError(\"{POOL}: Read timed out. (read timeout=10)\"), '(Request ID: 4712)')",
            "requests/adapters.py",
            "send",
            "raise ReadTimeout(e, request=request)",
        ),
        versions=("0.7.3", "0.9.1", "0.11.0"),
    ),
    failure(
        "hub-gateway-timeout",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "504 Server Error",
        "requests/models.py, raise_for_status; huggingface_hub/utils/_http.py",
        _http("504 Server Error: Gateway Time-out"),
        Raised(
            "huggingface_hub.errors.HfHubHTTPError",
            f"504 Server Error: Gateway Time-out for url: {URL}",
            HTTP,
            "hf_raise_for_status",
            "raise _format(HfHubHTTPError, str(e), response) from e",
        ),
        versions=("0.6.6", "0.10.1", "0.25.1"),
    ),
    failure(
        "hub-unavailable",
        Phase.LOADING,
        Who.CORE,
        "hub_unreachable",
        False,
        "503 Service Unavailable",
        "httpx, raise_for_status; huggingface_hub/utils/_http.py",
        Raised(
            "huggingface_hub.errors.HfHubHTTPError",
            f"Server error '503 Service Unavailable' for url '{URL}'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/503",
            HTTP,
            "hf_raise_for_status",
            "raise _format(HfHubHTTPError, str(e), response) from e",
        ),
        versions=("0.32.0", "0.33.0"),
    ),
    failure(
        "hub-too-many-requests",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "429 Client Error",
        "huggingface_hub/utils/_http.py, hf_raise_for_status",
        _http("429 Client Error: Too Many Requests"),
        Raised(
            "huggingface_hub.errors.HfHubHTTPError",
            f"429 Client Error: Too Many Requests for url: {URL} (Request ID: Root=1-68f6)\n\nWe had to rate limit your IP. To continue using our service, create a HF account or login to your existing account.",
            HTTP,
            "hf_raise_for_status",
            "raise _format(HfHubHTTPError, str(e), response) from e",
        ),
        versions=("0.8.5", "0.11.0"),
    ),
    failure(
        "hub-reset",
        Phase.LOADING,
        Who.WORKER,
        "hub_unreachable",
        False,
        "Connection reset by peer",
        "urllib3; requests/models.py, iter_content",
        Raised(
            "requests.exceptions.ChunkedEncodingError",
            "(\"Connection broken: ConnectionResetError(104, 'Connection reset by peer')\", ConnectionResetError(104, 'Connection reset by peer'))",
            "requests/models.py",
            "generate",
            "raise ChunkedEncodingError(e)",
        ),
        versions=("0.6.6", "0.9.1", "0.11.0"),
    ),
    failure(
        "hub-proxy-forbids",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        None,
        "403 Client Error",
        "requests/models.py, raise_for_status: a proxy between, and no gated repository",
        Raised(
            "requests.exceptions.HTTPError",
            "403 Client Error: Forbidden for url: http://proxy.example.org/blocked?u=huggingface.co",
            HTTP,
            "hf_raise_for_status",
            "response.raise_for_status()",
        ),
        versions=("0.8.5", "0.11.0"),
    ),
    failure(
        "hub-certificate",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        None,
        "CERTIFICATE_VERIFY_FAILED",
        "ssl; requests/adapters.py, send",
        Raised(
            "requests.exceptions.SSLError",
            f"(MaxRetryError(\"{POOL}: Max retries exceeded with url: /acme/chat-8b/resolve/main/config.json (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1006)')))\"), '(Request ID: 4713)')",
            "requests/adapters.py",
            "send",
            "raise SSLError(e, request=request)",
        ),
        versions=("0.7.3", "0.10.1"),
    ),
    failure(
        "hub-consistency",
        Phase.LOADING,
        Who.CORE,
        "hub_unreachable weights_damaged",
        None,
        "Consistency check failed",
        "huggingface_hub/file_download.py, http_get",
        Raised(
            "OSError",
            "Consistency check failed: file should be of size 4976698672 but has size 1207959552 (model-00001-of-00004.safetensors).\nThis is usually due to network issues while downloading the file. Please retry with `force_download=True`.",
            DOWNLOAD,
            "http_get",
            "raise EnvironmentError(",
        ),
        versions=("0.8.5", "0.19.0"),
    ),
    failure(
        "hub-dropped-in-the-middle",
        Phase.LOADING,
        Who.CORE,
        "hub_unreachable",
        False,
        "IncompleteRead",
        "urllib3/response.py, _raw_read",
        Raised(
            "urllib3.exceptions.IncompleteRead",
            "IncompleteRead(1207959552 bytes read, 3768739120 more expected)",
            "urllib3/response.py",
            "_raw_read",
            "raise IncompleteRead(self._fp_bytes_read, self.length_remaining)",
        ),
        Raised(
            "urllib3.exceptions.ProtocolError",
            "('Connection broken: IncompleteRead(1207959552 bytes read, 3768739120 more expected)', IncompleteRead(1207959552 bytes read, 3768739120 more expected))",
            "urllib3/response.py",
            "_error_catcher",
            "raise ProtocolError(arg, e) from e",
            DURING,
        ),
        versions=(*OLD, *V1[:3]),
    ),
)
