"""What goes wrong at a provider has a name, says what to do, and never tells the key."""

import json

import pytest

from forebay.builtins.models.failures import Complaint, kind_of, read_complaint
from forebay.core.errors import (
    ContentFiltered,
    ContextTooLong,
    KeyRefused,
    MalformedReply,
    ModelError,
    ModelRefused,
    ModelUnknown,
    ModelUnreachable,
    RateLimited,
)
from forebay.ports.models import Model
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types, failure_of, open_bench

SECRET = "sk-proj-9aX7qLm2ZtR4vB8nC1dE"


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode()


def vllm(message: str) -> bytes:
    return json.dumps({"object": "error", "message": message, "code": 400}).encode()


def claude(message: str, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


# --- which error it is --------------------------------------------------------------------------

KNOWN: list[tuple[int, bytes, type[ModelError]]] = [
    (401, openai("Incorrect API key provided: sk-x.", "invalid_api_key"), KeyRefused),
    (403, openai("Country not supported", "unsupported_country_region_territory"), KeyRefused),
    (403, openai("Project has no access to model `x`", "model_not_found"), ModelUnknown),
    (404, openai("The model `x` does not exist", "model_not_found"), ModelUnknown),
    (400, openai("invalid model ID"), ModelUnknown),
    (429, openai("Rate limit reached", "rate_limit_exceeded"), RateLimited),
    (429, openai("You exceeded your current quota", "insufficient_quota"), RateLimited),
    (400, openai("maximum context length is 8192", "context_length_exceeded"), ContextTooLong),
    (400, openai("Invalid image", "content_policy_violation"), ContentFiltered),
    (400, openai("Unsupported value: 'temperature'", "unsupported_value"), ModelRefused),
    (500, openai("The server had an error", None, "server_error"), ModelUnreachable),
    (503, b"upstream connect error", ModelUnreachable),
    (502, b"<html><h1>Bad Gateway</h1></html>", ModelUnreachable),
    (408, b"", ModelUnreachable),
    (405, b"", ModelRefused),
]
AZURE: list[tuple[int, bytes, type[ModelError]]] = [
    (404, openai("It does not exist.", "DeploymentNotFound"), ModelUnknown),
    (401, b'{"statusCode":401,"message":"Access denied due to invalid key."}', KeyRefused),
    (400, openai("It triggered the content management policy.", "content_filter"), ContentFiltered),
]
OPEN: list[tuple[int, bytes, type[ModelError]]] = [
    (400, vllm("This model's maximum context length is 4096 tokens. However, …"), ContextTooLong),
    (400, vllm("The decoder prompt is longer than the maximum model length of 9."), ContextTooLong),
    (404, vllm("The model `x` does not exist."), ModelUnknown),
    (500, openai("It is too long", None, "exceed_context_size_error"), ContextTooLong),
    (500, openai("Requested tokens (516) exceed context window of 512"), ContextTooLong),
    (503, openai("Loading model", None, "unavailable_error"), ModelUnreachable),
    (404, openai('model "x" not found, try pulling it first'), ModelUnknown),
    (400, b'{"error":"the input length exceeds the context length"}', ContextTooLong),
]
NVIDIA: list[tuple[int, bytes, type[ModelError]]] = [
    (401, b'{"title":"Unauthorized","detail":"Authentication failed"}', KeyRefused),
    (404, b'{"title":"Not Found","detail":"Function not found"}', ModelUnknown),
    (400, vllm("Input length 548 exceeds maximum allowed token size 512"), ContextTooLong),
    (422, b'{"detail":[{"loc":["body","messages"],"msg":"Field required"}]}', ModelRefused),
    (402, b'{"detail":"Account has run out of credits"}', RateLimited),
]
ANTHROPIC: list[tuple[int, bytes, type[ModelError]]] = [
    (400, claude("prompt is too long: 212345 tokens > 200000 maximum"), ContextTooLong),
    (400, claude("Your credit balance is too low to access the API."), RateLimited),
    (404, claude("model: x", "not_found_error"), ModelUnknown),
    (413, claude("Too large", "request_too_large"), ContextTooLong),
    (529, claude("Overloaded", "overloaded_error"), RateLimited),
]
OTHERS: list[tuple[int, bytes, type[ModelError]]] = [
    (400, b'[{"error":{"code":400,"message":"API key not valid."}}]', KeyRefused),
    (400, b'[{"error":{"message":"It exceeds the maximum number of tokens"}}]', ContextTooLong),
    (400, b'{"message":{"detail":[{"msg":"too large for model with 9"}]}}', ContextTooLong),
    (403, b'{"error":{"code":403,"message":"Your input was flagged as hate"}}', ContentFiltered),
]


@pytest.mark.parametrize(
    ("status", "body", "kind"), [*KNOWN, *AZURE, *OPEN, *NVIDIA, *ANTHROPIC, *OTHERS]
)
def test_what_providers_say_is_understood(status: int, body: bytes, kind: type[ModelError]) -> None:
    assert kind_of(status, read_complaint(body)) is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"Too\\n  bad"}}', "Too bad"),
        (b'{"error":"Bad"}', "Bad"),
        (b'{"detail":[{"loc":["a"],"msg":"One"},{"msg":"Two"}]}', "One; Two"),
        (b'{"message":{"detail":[{"msg":"Deep"}]}}', "Deep"),
        (b"plain", "plain"),
        (b"<html>", ""),
        (b"", ""),
        (b"null", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_words_are_found_in_every_shape(body: bytes, message: str) -> None:
    assert read_complaint(body).message == message


def test_a_complaint_is_not_repeated_at_any_length() -> None:
    assert len(read_complaint(json.dumps({"error": "x" * 100_000}).encode()).message) < 500
    assert len(read_complaint(b"x" * 100_000).message) < 500


@pytest.mark.parametrize("status", range(400, 600))
def test_every_status_is_some_error(status: int) -> None:
    assert issubclass(kind_of(status, Complaint()), ModelError)


# --- what a person reads ------------------------------------------------------------------------


async def test_a_missing_key_names_the_variable_and_calls_nobody(types: Types) -> None:
    error = await failure_of(types.model("openai", model_name="gpt-4.1-mini"))

    assert isinstance(error, KeyRefused)
    assert error.message == (
        "fast (gpt-4.1-mini of openai at https://api.openai.com/v1) needs a key: "
        "set OPENAI_API_KEY or api_key in llms.fast."
    )


async def test_a_refused_key_names_the_variable(types: Types, provider: LoopbackProvider) -> None:
    provider.key = "another"
    model = types.model("openai", model_name="m", base_url=provider.url, api_key=SECRET)

    error = await failure_of(model)

    assert isinstance(error, KeyRefused)
    assert error.message == (
        f"fast (m of openai at {provider.url}) refuses the key: Incorrect API key provided. "
        "Check the key: set OPENAI_API_KEY or api_key in llms.fast."
    )


async def test_an_unknown_model_names_the_field(types: Types, provider: LoopbackProvider) -> None:
    provider.models = ["other"]
    model = types.model("openai_compatible", model_name="m", base_url=provider.url)

    error = await failure_of(model)

    assert isinstance(error, ModelUnknown)
    assert error.message == (
        f"openai_compatible at {provider.url} has no model m: The model `m` does not exist. "
        "Check model_name in llms.fast."
    )


async def test_a_wrong_address_names_the_field(types: Types, provider: LoopbackProvider) -> None:
    model = types.model("openai_compatible", model_name="m", base_url=f"{provider.address}/v9")
    provider.refuse(404, "Not Found")

    error = await failure_of(model)

    assert isinstance(error, ModelUnknown)
    assert error.message.endswith("Check base_url and model_name in llms.fast.")


async def test_a_provider_that_is_not_there_is_named(types: Types) -> None:
    async with LoopbackProvider() as gone:
        url = gone.url
    error = await failure_of(types.model("openai_compatible", model_name="m", base_url=url))

    assert type(error) is ModelUnreachable
    assert error.message.startswith(f"fast (m of openai_compatible at {url}) cannot be reached: ")
    assert error.message.endswith("Check that it runs, and base_url in llms.fast.")


async def test_limits_say_when_to_come_back(model: Model, provider: LoopbackProvider) -> None:
    provider.limit(retry_after=30)  # longer than anybody wants to wait in a call

    error = await failure_of(model)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 30
    assert error.message.endswith("Try again in 30 seconds, or name fallbacks in llms.fast.")


async def test_a_quota_that_is_used_up_is_said_so(model: Model, provider: LoopbackProvider) -> None:
    provider.refuse(429, "You exceeded your current quota.", code="insufficient_quota", times=3)

    error = await failure_of(model)

    assert isinstance(error, RateLimited)
    assert error.message.startswith("The quota at fast (m of ")
    assert "Look at the plan and the bill there" in error.message


async def test_an_offline_server_says_so() -> None:
    async with open_bench(is_online=False) as bench:
        types = Types(bench, {"OPENAI_API_KEY": SECRET})
        error = await failure_of(types.model("openai", model_name="m"))

    assert type(error) is ModelUnreachable
    assert "offline" in error.message
    assert "Check that it runs" not in error.message


async def test_a_page_is_no_reply(model: Model, provider: LoopbackProvider) -> None:
    provider.answer(b"<!doctype html><title>Hi</title>", kind="text/html; charset=utf-8")

    error = await failure_of(model)

    assert isinstance(error, MalformedReply)
    assert "cannot be read: it is text/html, not JSON" in error.message


async def test_a_url_is_shown_without_its_password(types: Types) -> None:
    async with LoopbackProvider() as gone:
        port = gone.address.rpartition(":")[2]
    url = f"http://someone:{SECRET}@127.0.0.1:{port}/v1?key={SECRET}"
    model = types.model("openai_compatible", model_name="m", base_url=url)

    assert model.provider == f"openai_compatible at http://127.0.0.1:{port}/v1"
    assert SECRET not in (await failure_of(model)).message


# --- the key ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(
    "told",
    [
        f"Wrong key: {SECRET}.",
        f"Wrong key: {SECRET[:16]}…",
        "Wrong key: sk-proj-****************C1dE.",
        f'"Authorization": "Bearer {SECRET}"',
        "Wrong key: abcd**********wxyz",
    ],
)
async def test_a_key_is_not_told_though_the_provider_tells_it(
    types: Types, provider: LoopbackProvider, status: int, told: str
) -> None:
    provider.refuse(status, told, times=5)
    model = types.model("openai", model_name="m", base_url=provider.url, api_key=SECRET)

    error = await failure_of(model)

    assert "[key]" in error.message
    for part in (SECRET[:12], SECRET[-4:], "wxyz"):
        assert part not in error.message
    assert SECRET not in repr(error.__dict__)


async def test_a_secret_header_is_not_told(types: Types, provider: LoopbackProvider) -> None:
    provider.refuse(400, "x-gate said: open-sesame-99")
    model = types.model(
        "openai_compatible",
        model_name="m",
        base_url=provider.url,
        default_headers={"x-gate": "open-sesame-99"},
    )

    assert "sesame" not in (await failure_of(model)).message
    assert provider.requests[0].headers["x-gate"] == "open-sesame-99"


async def test_a_key_is_not_in_what_a_model_looks_like(types: Types) -> None:
    model = types.model("openai", model_name="m", api_key=SECRET)

    assert SECRET not in repr(vars(model))
