"""Every model keeps the contract."""

import pytest

from forebay.builtins.models.scripted import ScriptedModel
from forebay.ports.models import Embedder, Model
from forebay.testing.models import EmbedderContract, ModelContract
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types


class TestOpenAICompatible(ModelContract):
    @pytest.fixture
    def model(self, types: Types, provider: LoopbackProvider) -> Model:
        return types.model("openai_compatible", model_name="m", base_url=provider.url)


class TestOpenAICompatibleWithoutStreams(ModelContract):
    @pytest.fixture
    def model(self, types: Types, provider: LoopbackProvider) -> Model:
        provider.streams = provider.tells_usage = False
        return types.model("openai_compatible", model_name="m", base_url=provider.url)


class TestAnthropic(ModelContract):
    @pytest.fixture
    def model(self, types: Types, provider: LoopbackProvider) -> Model:
        return types.model("anthropic", model_name="m", base_url=provider.url, api_key="k")


class TestScripted(ModelContract):
    @pytest.fixture
    def model(self) -> Model:
        return ScriptedModel("scripted")


class TestEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, types: Types, provider: LoopbackProvider) -> Embedder:
        return types.embedder(
            "openai_compatible", model_name="e", base_url=provider.url, batch_size=2
        )


class TestPackedEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, types: Types, provider: LoopbackProvider) -> Embedder:
        return types.embedder(
            "openai", model_name="e", base_url=provider.url, encoding_format="base64"
        )
