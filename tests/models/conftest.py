"""A provider on the loopback, and what models are made of."""

from collections.abc import AsyncIterator

import pytest

from forebay.ports.models import Model
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Bench, Types, open_bench


@pytest.fixture
async def provider() -> AsyncIterator[LoopbackProvider]:
    async with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench() as bench:
        yield bench


@pytest.fixture
def types(bench: Bench) -> Types:
    return Types(bench)


@pytest.fixture
def model(types: Types, provider: LoopbackProvider) -> Model:
    return types.model("openai_compatible", model_name="m", base_url=provider.url)


@pytest.fixture
def claude(types: Types, provider: LoopbackProvider) -> Model:
    return types.model(
        "anthropic",
        "claude",
        model_name="claude-x",
        base_url=provider.address,
        api_key="k-12345678",
    )
