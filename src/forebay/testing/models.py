"""The contract of models: what any provider of language models has to keep."""

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from forebay.core.messages import ChatMessage, ChatRequest, Reply
from forebay.ports.models import Embedder, Model, Thought

REQUEST = ChatRequest((ChatMessage("user", "Say one two three."),))


class ModelContract:
    """Give a fixture `model`, one that answers whatever it is asked, with text."""

    @pytest.fixture
    def model(self) -> Model:
        raise NotImplementedError

    async def test_it_has_a_name_and_says_whose_it_is(self, model: Model) -> None:
        assert model.name
        assert model.provider

    async def test_it_says_pieces_and_then_one_reply(self, model: Model) -> None:
        *pieces, reply = await _all_of(model)

        assert isinstance(reply, Reply)
        assert not any(isinstance(piece, Reply) for piece in pieces)

    async def test_its_pieces_are_its_reply(self, model: Model) -> None:
        *pieces, reply = await _all_of(model)

        assert isinstance(reply, Reply)
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == reply.text
        thoughts = [piece.text for piece in pieces if isinstance(piece, Thought)]
        assert "".join(thoughts) == (reply.thinking or "")

    async def test_no_piece_is_empty(self, model: Model) -> None:
        assert "" not in await _all_of(model)

    async def test_it_tells_what_was_used(self, model: Model) -> None:
        reply = (await _all_of(model))[-1]

        assert isinstance(reply, Reply)
        assert reply.usage is not None
        assert reply.usage.input_tokens > 0

    async def test_who_stops_listening_does_no_harm(self, model: Model) -> None:
        async with aclosing(model.chat(REQUEST)) as pieces:
            await anext(pieces)

        assert await _all_of(model)

    async def test_nothing_is_asked_before_somebody_listens(self, model: Model) -> None:
        await model.chat(REQUEST).aclose()

    async def test_it_can_be_looked_at(self, model: Model) -> None:
        findings = await model.validate()
        cheap = await model.validate(dry_call=False)

        assert all(finding.is_ok and finding.message for finding in findings)
        assert len(cheap) <= len(findings)


class EmbedderContract:
    """Give a fixture `embedder`, one that works."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError

    async def test_it_has_a_name_and_says_whose_it_is(self, embedder: Embedder) -> None:
        assert embedder.name
        assert embedder.provider

    async def test_each_text_has_its_vector_in_its_place(self, embedder: Embedder) -> None:
        texts = [f"text {number}" for number in range(5)]

        together = (await embedder.embed(texts)).vectors
        alone = [(await embedder.embed([text])).vectors[0] for text in texts]

        assert len({len(vector) for vector in together}) == 1
        for one, other in zip(together, alone, strict=True):
            assert one == pytest.approx(other, abs=1e-4)

    async def test_no_texts_have_no_vectors(self, embedder: Embedder) -> None:
        assert (await embedder.embed([])).vectors == []

    async def test_it_can_be_looked_at(self, embedder: Embedder) -> None:
        assert all(finding.is_ok and finding.message for finding in await embedder.validate())


async def _all_of(model: Model) -> Sequence[str | Thought | Reply]:
    async with aclosing(model.chat(REQUEST)) as pieces:
        return [piece async for piece in pieces]
