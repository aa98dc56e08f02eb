"""Vectors: in batches, in their order, in both ways they travel."""

import pytest

from forebay.core.errors import (
    ContextTooLong,
    KeyRefused,
    MalformedReply,
    ModelRefused,
    ModelUnreachable,
)
from forebay.core.events import Usage
from forebay.ports.models import Embedder
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types

TEXTS = [f"text {number}" for number in range(7)]


@pytest.fixture
def embedder(types: Types, provider: LoopbackProvider) -> Embedder:
    return types.embedder("openai_compatible", model_name="e", base_url=provider.url, batch_size=3)


async def test_texts_are_embedded_in_batches(
    embedder: Embedder, provider: LoopbackProvider
) -> None:
    made = await embedder.embed(TEXTS)

    assert [each.body["input"] for each in provider.requests] == [TEXTS[:3], TEXTS[3:6], TEXTS[6:]]
    assert (made.usage, made.model) == (Usage(14), "small")
    alone = [(await embedder.embed([text])).vectors[0] for text in TEXTS]
    assert made.vectors == alone


async def test_no_texts_need_no_call(embedder: Embedder, provider: LoopbackProvider) -> None:
    assert (await embedder.embed([])).vectors == []
    assert provider.requests == []


async def test_vectors_are_put_in_order(embedder: Embedder, provider: LoopbackProvider) -> None:
    provider.answer(b'{"data":[{"index":1,"embedding":[1.0]},{"index":0,"embedding":[0.0]}]}')

    assert (await embedder.embed(["a", "b"])).vectors == [[0.0], [1.0]]


async def test_vectors_may_come_without_an_index(
    embedder: Embedder, provider: LoopbackProvider
) -> None:
    provider.answer(b'{"data":[{"embedding":[0.0]},{"embedding":[1.0]}]}')

    made = await embedder.embed(["a", "b"])

    assert made.vectors == [[0.0], [1.0]]
    assert made.usage and made.usage.estimated


async def test_vectors_may_travel_packed(types: Types, provider: LoopbackProvider) -> None:
    plain = types.embedder("openai", model_name="e", base_url=provider.url)
    packed = types.embedder(
        "openai", model_name="e", base_url=provider.url, encoding_format="base64"
    )

    first = (await plain.embed(TEXTS)).vectors
    second = (await packed.embed(TEXTS)).vectors

    assert provider.requests[1].body["encoding_format"] == "base64"
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


async def test_a_server_that_refuses_the_format_is_asked_without(
    embedder: Embedder, provider: LoopbackProvider
) -> None:
    provider.refuse(400, "Unknown parameter: encoding_format")

    assert len((await embedder.embed(["a"])).vectors) == 1
    assert "encoding_format" not in provider.requests[1].body


async def test_nvidias_are_told_what_texts_are_for(
    types: Types, provider: LoopbackProvider
) -> None:
    provider.needs_input_type = True
    embedder = types.embedder(
        "nim", model_name="nvidia/e5", base_url=provider.url, truncate="END", dimensions=4
    )

    made = await embedder.embed(["a"])

    body = provider.requests[0].body
    assert (body["input_type"], body["truncate"]) == ("query", "END")
    assert len(made.vectors[0]) == 4


async def test_texts_may_be_what_is_searched(types: Types, provider: LoopbackProvider) -> None:
    embedder = types.embedder(
        "nim", model_name="nvidia/e5", base_url=provider.url, input_type="passage"
    )
    await embedder.embed(["a"])

    assert provider.requests[0].body["input_type"] == "passage"


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"no",
        b'{"data":[]}',
        b'{"data":[{"embedding":[0]},{"embedding":[0]}]}',
        b'{"data":[{"embedding":"AAA"}]}',
        b'{"data":[{"embedding":"AAAA"}]}',
        b'{"data":[{"embedding":[0.0],"index":3}]}',
        b'{"data":[{"embedding":null}]}',
    ],
)
async def test_other_answers_are_malformed(
    embedder: Embedder, provider: LoopbackProvider, answer: bytes
) -> None:
    provider.answer(answer)

    with pytest.raises(MalformedReply, match=r"small \(e of openai_compatible at"):
        await embedder.embed(["a"])


async def test_errors_have_their_names(embedder: Embedder, provider: LoopbackProvider) -> None:
    provider.refuse(400, "Input length 548 exceeds maximum allowed token size 512")
    with pytest.raises(ContextTooLong):
        await embedder.embed(["a"])
    provider.refuse(422, "no")
    with pytest.raises(ModelRefused, match=r"Check the fields of embedders\.small"):
        await embedder.embed(["a"])
    provider.refuse(500, times=3)
    with pytest.raises(ModelUnreachable):
        await embedder.embed(["a"])


async def test_a_missing_key_names_the_variable(types: Types) -> None:
    embedder = types.embedder("nim", model_name="nvidia/e5")

    with pytest.raises(KeyRefused, match=r"set NVIDIA_API_KEY or api_key in embedders\.small"):
        await embedder.embed(["a"])


async def test_embedders_have_a_price(types: Types) -> None:
    embedder = types.embedder("openai", model_name="text-embedding-3-small")

    assert embedder.price
    assert embedder.price.of(Usage(1_000_000)) == 0.02
