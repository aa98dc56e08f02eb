"""Whether a model can be reached, is listed, and answers."""

from collections.abc import Sequence

import pytest

from forebay.ports.models import Embedder, Finding, Model
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types


async def seen(model: Model | Embedder) -> Sequence[tuple[str, bool]]:
    return [(finding.about, finding.is_ok) for finding in await model.validate()]


def about(findings: Sequence[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.about == name)


GOOD = [("reachable", True), ("listed", True), ("answers", True)]


async def test_all_may_be_well(model: Model, provider: LoopbackProvider) -> None:
    provider.models = ["m", "n"]

    assert await seen(model) == GOOD
    listing, ping = provider.requests
    assert (listing.method, listing.path) == ("GET", "/v1/models")
    assert ping.body["max_tokens"] == 1
    assert ping.messages == [{"role": "user", "content": "ping"}]


async def test_nothing_need_be_called(model: Model, provider: LoopbackProvider) -> None:
    provider.models = ["m"]

    findings = await model.validate(dry_call=False)

    assert [finding.about for finding in findings] == ["reachable", "listed"]
    assert [each.path for each in provider.requests] == ["/v1/models"]


async def test_a_model_that_is_not_listed_is_told_its_neighbours(
    types: Types, provider: LoopbackProvider
) -> None:
    provider.models = ["llama3.2:latest", "qwen3:8b"]
    model = types.model("openai_compatible", model_name="lama3.2", base_url=provider.url)

    findings = await model.validate()

    assert not about(findings, "listed").is_ok
    assert "llama3.2:latest" in about(findings, "listed").message
    assert not about(findings, "answers").is_ok


@pytest.mark.parametrize("listed", ["llama3.2:latest", "models/llama3.2", "llama3.2-20260101"])
async def test_a_model_may_be_listed_in_another_form(
    types: Types, provider: LoopbackProvider, listed: str
) -> None:
    provider.models = [listed]
    model = types.model("openai_compatible", model_name="llama3.2", base_url=provider.url)

    assert about(await model.validate(dry_call=False), "listed").is_ok


async def test_a_server_without_a_list_is_not_to_blame(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.refuse(404)

    assert await seen(model) == GOOD


async def test_a_server_that_is_not_there(types: Types) -> None:
    async with LoopbackProvider() as gone:
        url = gone.url
    model = types.model("openai_compatible", model_name="m", base_url=url)

    findings = await model.validate()

    assert [finding.is_ok for finding in findings] == [False, False, False]
    assert "Check that it runs, and base_url in llms.fast." in findings[0].message


async def test_a_key_that_is_refused(types: Types, provider: LoopbackProvider) -> None:
    provider.key = "another"
    model = types.model("openai", model_name="m", base_url=provider.url, api_key="mine-is-long")

    findings = await model.validate()

    assert not findings[0].is_ok
    assert "set OPENAI_API_KEY or api_key in llms.fast" in findings[0].message
    assert len(provider.requests) == 1


async def test_a_key_that_is_missing(types: Types) -> None:
    findings = await types.model("openai", model_name="m").validate()

    assert "needs a key: set OPENAI_API_KEY" in findings[0].message


async def test_a_model_that_does_not_answer(model: Model, provider: LoopbackProvider) -> None:
    provider.cut(after=0)
    provider.cut(after=0)
    provider.cut(after=0)

    assert await seen(model) == [*GOOD[:2], ("answers", False)]


async def test_one_token_may_be_too_few_to_answer(model: Model, provider: LoopbackProvider) -> None:
    message = "Could not finish the message because max_tokens or model output limit was reached."
    provider.answer(b'{"data": []}')
    provider.refuse(400, message)

    assert await seen(model) == GOOD


async def test_anthropic_is_looked_at_in_its_own_way(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.models = ["claude-x-20261001", "claude-x"]

    assert await seen(claude) == GOOD
    assert (provider.requests[0].path, provider.requests[0].query) == ("/v1/models", "limit=1000")
    assert provider.requests[0].headers["anthropic-version"] == "2023-06-01"


async def test_an_embedder_embeds_one_text(types: Types, provider: LoopbackProvider) -> None:
    embedder = types.embedder("openai_compatible", model_name="e", base_url=provider.url)

    assert await seen(embedder) == GOOD
    assert provider.requests[1].body["input"] == ["ping"]


async def test_deployments_are_not_looked_for_among_models(
    types: Types, provider: LoopbackProvider
) -> None:
    provider.models = ["gpt-4o"]
    model = types.model(
        "azure_openai", azure_deployment="mine", azure_endpoint=provider.address, api_key="k"
    )

    findings = await model.validate(dry_call=False)

    assert [finding.is_ok for finding in findings] == [True, True]
    assert provider.requests[0].path == "/openai/models"
