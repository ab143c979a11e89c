"""Models in an object store: S3, Google's and Azure's, by boto, their own clients or a streamer."""

import re

from vllmd.engine.causes.base import Cause, Found, Kind, Rank, Told

_STORE = r"(?:botocore|boto3|google\.(?:api_core|auth|cloud)|azure\.(?:core|storage|identity))\."
_KEYS = (
    "Give the engine's env what may read the model's bucket (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME), or its "
    "host a role that may."
)


def _streamed(found: Found) -> Told:
    if re.search(r"b'\w+ not supported'", found.whole):
        return Told(
            "Install the streamer's part for this store (pip install 'vllm[runai]') and what its "
            "library needs (zlib).",
            "Run:ai's streamer cannot read from this kind of store here.",
            Kind.CONFIGURATION,
        )
    return Told()


CAUSES = (
    Cause(
        name="permission_denied",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="The object store does not let the engine read the model.",
        advice=_KEYS,
        signs={
            rf"^{_STORE}\S*(?:NoCredentials|PartialCredentials|CredentialRetrieval|TokenRetrieval"
            r"|UnauthorizedSSOToken|DefaultCredentials|Refresh|ClientAuthentication)Error": (
                "botocore/exceptions.py, google/auth/exceptions.py, azure/core/exceptions.py"
            ),
            rf"^{_STORE}\S*(?:Forbidden|Unauthorized|Unauthenticated|PermissionDenied)\b": (
                "google/api_core/exceptions.py"
            ),
            r"\((?:AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken"
            r"|AllAccessDisabled|AccountProblem|40[13])\) when calling": "botocore/client.py",
        },
    ),
    Cause(
        name="model_not_found",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="The object store has no such bucket, or not the model in it.",
        advice="Correct model in the engine's configuration: its bucket, its folder, its region.",
        signs={
            r"\((?:NoSuchBucket|NoSuchKey|PermanentRedirect|404)\) when calling": (
                "botocore/client.py"
            ),
            rf"^{_STORE}\S*(?:NotFound|ResourceNotFoundError)\b": (
                "google/api_core/exceptions.py, azure/core/exceptions.py"
            ),
        },
    ),
    Cause(
        name="hub_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.NAMED,
        explanation="The object store that has the model did not answer, or not as it should.",
        advice=(
            "Another start tries again. If it stays: look at the network, a proxy and the store's "
            "address (AWS_ENDPOINT_URL)."
        ),
        signs={
            rf"^{_STORE}\S*(?:EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|HTTPClient"
            r"|ProxyConnection|SSL|ResponseStreaming|IncompleteRead|Retry|Transport|ServiceRequest"
            r"|ServiceResponse)Error": (
                "botocore/exceptions.py, google/api_core/exceptions.py, azure/core/exceptions.py"
            ),
            rf"^{_STORE}\S*(?:ServiceUnavailable|TooManyRequests|InternalServerError|BadGateway"
            r"|GatewayTimeout|DeadlineExceeded)\b": "google/api_core/exceptions.py",
            r"\((?:SlowDown|ServiceUnavailable|InternalError|RequestTimeout|Throttling\w*|50[0234])\)"
            r" when calling": "botocore/client.py",
        },
    ),
    Cause(
        name="config_rejected",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="What the engine is told of its object store is not whole, or not right.",
        advice="Set what the evidence names in the engine's env (AWS_REGION, AWS_ENDPOINT_URL).",
        signs={
            rf"^{_STORE}\S*(?:NoRegion|InvalidRegion|InvalidEndpoint\w*|ProfileNotFound|ConfigParse"
            r"|ParamValidation)(?:Error)?\b": "botocore/exceptions.py",
            r"^ValueError: Invalid endpoint: ": "botocore/client.py",
        },
    ),
    Cause(
        name="object_store",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="Run:ai's streamer could not read the model, and does not say why.",
        advice=(
            "Look at the model's address, the credentials and AWS_ENDPOINT_URL; "
            "RUNAI_STREAMER_LOG_TO_STDERR=1 and RUNAI_STREAMER_LOG_LEVEL=DEBUG in the engine's env "
            "let it say more."
        ),
        signs={
            r"(?:send runai_request to|receive runai_response from|streamer in) libstreamer": (
                "runai_model_streamer/libstreamer/libstreamer.py"
            ),
        },
        told=_streamed,
    ),
)
