"""What every provider's client can do."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

import attrs

if TYPE_CHECKING:
    from pydantic import BaseModel

S = TypeVar("S", bound="BaseModel")


class Message(TypedDict):
    """One message of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


@attrs.frozen
class TokenUsage:
    """Tokens of one answer, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    """Of the input, how many were in the provider's cache."""


@attrs.frozen
class Reply:
    """One answer."""

    text: str
    model: str
    provider: str
    usage: TokenUsage
    finish_reason: str | None = None


class ProviderError(Exception):
    """A provider did not answer, or not as it should; `status` is the HTTP status, if any.

    The SDK's own exception is its cause.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Stream:
    """The pieces of an answer as they come; `reply` is the whole of it once they have."""

    def __init__(self, pieces: Callable[["Stream"], Iterator[str]]) -> None:
        self._pieces = pieces
        self.reply: Reply | None = None

    def __iter__(self) -> Iterator[str]:
        """Yield each piece of the text.

        Raises: ProviderError: it was cut off.
        """
        return self._pieces(self)


class Client(Protocol):
    """One provider. `options` are handed to its SDK as they are."""

    provider: str
    model: str | None

    def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Reply:
        """Return the answer to a conversation.

        Raises: ProviderError.
        """
        ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Stream:
        """Return the answer to a conversation piece by piece."""
        ...

    def structured(
        self,
        messages: Sequence[Message],
        schema: type[S],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> S:
        """Return an answer that is an object of `schema`, a Pydantic model.

        Raises: ProviderError: there was none, or it was cut off.
        """
        ...
