"""RemoteEmbedder: vectors from a provider that embeds as OpenAI does, in batches."""

import sys
from array import array
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence

import msgspec

from forebay.core.codec import encode_json
from forebay.core.errors import HttpError
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.ports.components import Parts
from forebay.ports.models import Embeddings

from .failures import Refused, Unreadable
from .provided import Provided
from .source import Source
from .tokens import is_possible
from .trying import Trying

_PATH = "/embeddings"
_FORMAT = "encoding_format"


class _Item(msgspec.Struct, gc=False):
    embedding: list[float] | str
    index: int | None = None


class _Used(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct, gc=False):
    data: list[_Item]
    usage: _Used | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class RemoteEmbedder(Provided):
    """Implements ports.models.Embedder."""

    def __init__(
        self, source: Source, fields: Mapping[str, Json], batch_size: int, parts: Parts
    ) -> None:
        super().__init__(source, parts)
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._batch_size = batch_size

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of these texts. Raises ModelError."""
        vectors: list[list[float]] = []
        usage = Usage()
        for at in range(0, len(texts), self._batch_size):
            batch = texts[at : at + self._batch_size]
            made, used = await self._embed(batch)
            vectors += made
            usage = Usage(
                usage.input_tokens + used.input_tokens, 0, usage.estimated or used.estimated
            )
        return Embeddings(vectors, usage, self.name)

    async def _ping(self) -> None:
        await self.embed(["ping"])

    async def _embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        trying = Trying(self._source, self._parts.clock)
        while True:
            try:
                answer = await self._line.send(_PATH, self._body(texts))
                return self._read(answer, texts)
            except (HttpError, Refused, Unreadable) as error:
                if not self._conceded(error):
                    await trying.go_on(error, has_spoken=False)

    def _body(self, texts: Sequence[str]) -> bytes:
        return encode_json({**self._fields, "model": self._source.model, "input": [*texts]})

    def _conceded(self, error: Exception) -> bool:
        if not isinstance(error, Refused) or _FORMAT not in self._fields:
            return False
        complaint = error.refusal.complaint
        if _FORMAT not in f"{complaint.words} {complaint.param}":
            return False
        del self._fields[_FORMAT]
        return True

    def _read(self, answer: bytes, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        try:
            told = _decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unreadable("it has no list of embeddings") from None
        vectors = _in_order(told.data, len(texts))
        used = Usage(told.usage.prompt_tokens or 0) if told.usage else Usage()
        if used.input_tokens and is_possible(used):
            return vectors, used
        return vectors, Usage(sum(map(self._counter.count, texts)), estimated=True)


def _in_order(items: Sequence[_Item], wanted: int) -> list[list[float]]:
    placed = {
        position if item.index is None else item.index: item for position, item in enumerate(items)
    }
    if sorted(placed) != list(range(wanted)) or len(items) != wanted:
        raise Unreadable(f"it has {len(items)} vectors for {wanted} texts")
    return [_vector(placed[index].embedding) for index in range(wanted)]


def _vector(embedding: list[float] | str) -> list[float]:
    if not isinstance(embedding, str):
        return embedding
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(embedding, validate=True))
    except (Base64Error, ValueError):
        raise Unreadable("a vector in it is not base64 of floats") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
