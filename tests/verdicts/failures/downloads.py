"""A tokenizer's files, and what the hub's clients say when a download or a name fails."""

from tests.verdicts.failures.hub_texts import HTTP, URL
from tests.verdicts.model import Phase, Raised, Said, Who, failure

XET = "huggingface_hub/file_download.py"
SP = "sentencepiece/__init__.py"
TOKENIZERS = "transformers/tokenization_utils_tokenizers.py"
NOT_FOUND = (
    "404 Client Error. (Request ID: Root=1-68f2)\n\nRepository Not Found for url: "
    "https://huggingface.co/acme/chta-8b/resolve/main/config.json.\nPlease make sure you specified "
    "the correct `repo_id` and `repo_type`."
)
TIMED_OUT = Said(
    "'The read operation timed out' thrown while requesting HEAD "
    "https://huggingface.co/acme/chta-8b/resolve/main/config.json",
    Who.API,
    "WARNING",
    "_http.py:551",
)
INVALID = (
    "Invalid repository ID or local directory specified: 'acme/chta-8b'.\nPlease verify the "
    "following requirements:\n1. Provide a valid Hugging Face repository ID."
)


def _retried(error: str) -> Said:
    text = f"Error retrieving file list: {error}, retrying 1 of 2"
    return Said(text, Who.API, "ERROR", "repo_utils.py:126")


FAILURES = (
    failure(
        "sentencepiece-is-a-pointer",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged",
        True,
        "could not parse ModelProto",
        "sentencepiece up to 0.2.2: src/sentencepiece_processor.cc",
        Raised(
            "RuntimeError",
            "Internal: could not parse ModelProto from /models/chat/tokenizer.model",
            SP,
            "LoadFromFile",
            "return _sentencepiece.SentencePieceProcessor_LoadFromFile(self, arg)",
        ),
        versions=("0.6.6", "0.9.1", "0.11.0"),
    ),
    failure(
        "sentencepiece-is-cut-off",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged",
        True,
        "could not parse ModelProto",
        "sentencepiece 0.2.3",
        Raised(
            "RuntimeError",
            "INTERNAL: could not parse ModelProto from /models/chat/tokenizer.model",
            SP,
            "LoadFromFile",
            "return _sentencepiece.SentencePieceProcessor_LoadFromFile(self, arg)",
        ),
        versions=("0.25.1", "0.33.0"),
    ),
    failure(
        "sentencepiece-is-not-there",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged file_missing model_not_found",
        True,
        "No such file or directory",
        "sentencepiece: src/filesystem.cc",
        Raised(
            "OSError",
            'Not found: "/models/chat/tokenizer.model": No such file or directory Error #2',
            SP,
            "LoadFromFile",
            "return _sentencepiece.SentencePieceProcessor_LoadFromFile(self, arg)",
        ),
        versions=("0.8.5", "0.19.0"),
    ),
    failure(
        "tokenizer-file-cut-off",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged",
        True,
        "EOF while parsing",
        "tokenizers 0.23.3, of serde_json",
        Raised(
            "Exception",
            "EOF while parsing an object at line 1 column 22",
            "transformers/tokenization_utils_fast.py",
            "__init__",
            "fast_tokenizer = TokenizerFast.from_file(fast_tokenizer_file)",
        ),
        versions=("0.7.3", "0.11.0", "0.19.0"),
    ),
    failure(
        "tokenizer-file-is-a-pointer",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged",
        True,
        "expected value at line 1 column 1",
        "tokenizers 0.23.3, of serde_json",
        Raised(
            "Exception",
            "expected value at line 1 column 1",
            "transformers/tokenization_utils_fast.py",
            "__init__",
            "fast_tokenizer = TokenizerFast.from_file(fast_tokenizer_file)",
        ),
        versions=("0.9.1", "0.25.1"),
    ),
    failure(
        "vocabulary-is-no-vocabulary",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged broken_install",
        True,
        "Error parsing line b",
        "tiktoken/load.py, under transformers/convert_slow_tokenizer.py",
        Raised(
            "ValueError",
            "invalid literal for int() with base 10: b'https://git-lfs.github.com/spec/v1'",
            "tiktoken/load.py",
            "load_tiktoken_bpe",
            "ret[base64.b64decode(token)] = int(rank)",
        ),
        Raised(
            "ValueError",
            "Error parsing line b'version https://git-lfs.github.com/spec/v1' in /models/chat/tokenizer.model",
            "tiktoken/load.py",
            "load_tiktoken_bpe",
            "raise ValueError(",
        ),
        versions=("0.11.0", "0.32.0"),
    ),
    failure(
        "tokenizer-in-no-form",
        Phase.CONFIGURATION,
        Who.API,
        "weights_damaged broken_install file_missing",
        True,
        "instantiate the backend tokenizer",
        "transformers/tokenization_utils_tokenizers.py 5, tokenization_utils_fast.py 4",
        Raised(
            "ValueError",
            "Couldn't instantiate the backend tokenizer from one of: \n(1) a `tokenizers` library serialization file, \n(2) a slow tokenizer instance to convert or \n(3) an equivalent slow tokenizer class to instantiate and convert. \nYou need to have sentencepiece or tiktoken installed to convert a slow tokenizer to a fast one.",
            TOKENIZERS,
            "__init__",
            "raise ValueError(",
        ),
        versions=("0.8.5", "0.32.0"),
    ),
    failure(
        "xet-channel-closed",
        Phase.LOADING,
        Who.WORKER,
        "hub_unreachable",
        False,
        "channel closed",
        "hf_xet 1.8.0, under huggingface_hub/file_download.py: xet_get",
        Raised(
            "RuntimeError",
            "Data processing error: File reconstruction error: Internal Writer Error: Background writer channel closed",
            XET,
            "xet_get",
            "download_files(",
        ),
        versions=("0.10.1", "0.19.0", "0.32.0"),
    ),
    failure(
        "xet-server-not-reached",
        Phase.LOADING,
        Who.WORKER,
        "hub_unreachable",
        False,
        "CAS Client Error",
        "hf_xet 1.8.0, under huggingface_hub/file_download.py: xet_get",
        Raised(
            "RuntimeError",
            "Data processing error: File reconstruction error: CAS Client Error: Request middleware error: error sending request for url (https://cas-server.xethub.hf.co/v1/reconstructions/4f)",
            XET,
            "xet_get",
            "download_files(",
        ),
        versions=("0.11.0", "0.25.1"),
    ),
    failure(
        "xet-without-room",
        Phase.LOADING,
        Who.WORKER,
        "disk_full",
        True,
        "No space left on device",
        "hf_xet, of the kernel",
        Raised(
            "RuntimeError",
            "Data processing error: File reconstruction error: Internal Writer Error: No space left on device (os error 28)",
            XET,
            "xet_get",
            "download_files(",
        ),
        versions=("0.11.0", "0.33.0"),
    ),
    failure(
        "wrong-name-after-a-time-out",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Repository Not Found",
        f"{HTTP}: the hub answered in the end",
        Raised(
            "httpx.HTTPStatusError",
            f"Client error '404 Not Found' for url '{URL}'",
            HTTP,
            "hf_raise_for_status",
        ),
        Raised(
            "huggingface_hub.errors.RepositoryNotFoundError", NOT_FOUND, HTTP, "hf_raise_for_status"
        ),
        said=(TIMED_OUT,),
        versions=("0.9.1", "0.19.0", "0.33.0"),
    ),
    failure(
        "wrong-name-that-is-told-after-retries",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Invalid repository ID",
        "vllm/transformers_utils/config.py: the hub said 401",
        Raised("ValueError", INVALID, "vllm/transformers_utils/config.py", "get_config"),
        said=(
            TIMED_OUT,
            _retried(
                "401 Client Error. (Request ID: Root=1-68f3) Repository Not Found for url: https://huggingface.co/api/models/acme/chta-8b"
            ),
        ),
        versions=("0.11.0", "0.25.1"),
    ),
    failure(
        "wrong-revision-after-a-time-out",
        Phase.CONFIGURATION,
        Who.API,
        "model_not_found",
        True,
        "Revision Not Found",
        f"{HTTP}: the hub answered in the end",
        Raised(
            "huggingface_hub.errors.RevisionNotFoundError",
            f"404 Client Error. (Request ID: Root=1-68f4)\n\nRevision Not Found for url: {URL}.\nInvalid rev id: v9",
            HTTP,
            "hf_raise_for_status",
        ),
        said=(TIMED_OUT,),
        versions=("0.10.1", "0.32.0"),
    ),
    failure(
        "any-name-while-the-hub-is-down",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "",
        "vllm/transformers_utils/config.py: nobody answered",
        Raised("ValueError", INVALID, "vllm/transformers_utils/config.py", "get_config"),
        said=(
            TIMED_OUT,
            _retried(
                "(MaxRetryError('HTTPSConnectionPool(host=huggingface.co, port=443): Max retries exceeded'))"
            ),
            _retried(
                "503 Server Error: Service Unavailable for url: https://huggingface.co/api/models/acme/chta-8b"
            ),
        ),
        versions=("0.11.0", "0.25.1"),
    ),
    failure(
        "name-not-in-the-cache-while-the-hub-is-down",
        Phase.CONFIGURATION,
        Who.API,
        "hub_unreachable",
        False,
        "",
        "huggingface_hub/errors.py",
        Raised(
            "httpx.ConnectError",
            "[Errno -3] Temporary failure in name resolution",
            "httpx/_transports/default.py",
            "map_httpcore_exceptions",
        ),
        Raised(
            "huggingface_hub.errors.LocalEntryNotFoundError",
            "An error happened while trying to locate the file on the Hub and we cannot find the requested files in the local cache. Please check your connection and try again or make sure your Internet connection is on.",
            "huggingface_hub/file_download.py",
            "_raise_on_head_call_error",
        ),
        Raised(
            "OSError",
            "acme/chta-8b is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
            "transformers/utils/hub.py",
            "cached_files",
        ),
        versions=("0.9.1", "0.32.0"),
    ),
)
