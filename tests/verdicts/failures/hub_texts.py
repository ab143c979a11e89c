"""What the libraries that ask the model hub say."""

from tests.verdicts.model import Raised

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


def http(code: str, name: str = "requests.exceptions.HTTPError") -> Raised:
    """Return an answer of the hub that is an error."""
    return Raised(
        name, f"{code} for url: {URL}", HTTP, "hf_raise_for_status", "response.raise_for_status()"
    )
