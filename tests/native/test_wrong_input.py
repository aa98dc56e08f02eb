"""Every wrong input has its own 4xx, and none of them is ever a 500."""

import json
from collections.abc import AsyncGenerator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.agents import Gated, give, large
from tests.support.server import Server, serving
from tests.support.strategies import jsons

NOBODY = "00000000-03e8-7d1c-8a5f-0123456789ab"  # the same in every test process
JSON = {"content-type": "application/json"}


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with serving(give, large, default_agent="give", body_limit_bytes=100_000) as server:
        yield server


async def refused(
    server: Server, status: int, code: str, method: str, path: str, **rest: object
) -> dict[str, object]:
    got = await server.client.send(method, path, **rest)
    problem = got.json()
    assert (got.status, problem["code"]) == (status, code), got.body
    assert got.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    return problem


# --- starting a run -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"not json",
        b'{"input":"hi"',
        b'{"input":"hi",}',
        b"{'input':'hi'}",
        b'{"input":"\xff\xfe"}',
        b'{"input":"\xed\xa0\x80"}',
        b'{"input":"a\x00b"}',
        b'{"input":"\\ud800"}',
        b'{"input":"\\udfff and more"}',
        b'{"\\ud800":1,"input":""}',
        b'{"input":' + b"[" * 40_000,
        b'{"input":' + b'{"a":' * 10_000,
        b'{"input":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"input":NaN}',
        b'{"input":[Infinity]}',
        b'{"input":{"a":-Infinity}}',
        b'{"input":' + b"9" * 5000 + b"}",
        b'{"input":1} trailing',
        b"\x00",
        '{"input":"hi"}'.encode("utf-16"),
        '{"input":"hi"}'.encode("utf-32"),
    ],
    ids=lambda raw: repr(raw[:30]),
)
async def test_what_is_not_json_is_a_400(server: Server, raw: bytes):
    await refused(server, 400, "bad_json", "POST", "/api/runs", raw=raw, headers=JSON)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"agent": "give"}, "input"),
        ({"input": "hi", "agent": 7}, "agent"),
        ({"input": "hi", "agent": ["give"]}, "agent"),
        ({"input": "hi", "mode": "later"}, "mode"),
        ({"input": "hi", "mode": None}, "mode"),
        ({"input": "hi", "durable": "perhaps"}, "durable"),
        ({"input": "hi", "session": ""}, "session"),
        ({"input": "hi", "session": "s" * 201}, "session"),
        ({"input": "hi", "session": 1}, "session"),
        ({"input": "hi", "metadata": []}, "metadata"),
        ({"input": "hi", "metadata": None}, "metadata"),
        ({"input": "hi", "expiry_seconds": 59}, "expiry_seconds"),
        ({"input": "hi", "expiry_seconds": 10**18}, "expiry_seconds"),
        ({"input": "hi", "expiry_seconds": 10**30}, "expiry_seconds"),
        ({"input": "hi", "expiry_seconds": 60.5}, "expiry_seconds"),
        ({"input": "hi", "deadline_seconds": 0}, "deadline_seconds"),
        ({"input": "hi", "deadline_seconds": -1}, "deadline_seconds"),
        ({"input": "hi", "deadline_seconds": 1e300}, "deadline_seconds"),
        ({"input": "hi", "wait_seconds": 0}, "wait_seconds"),
        ({"input": "hi", "wait_seconds": 3601}, "wait_seconds"),
        ({"input": "hi", "wait_seconds": "soon"}, "wait_seconds"),
        ({"input": "hi", "stream": True}, "stream"),
        ({"input": "hi", "": 1}, ""),
    ],
    ids=lambda each: str(each)[:60],
)
async def test_a_wrong_or_missing_field_is_a_422_that_names_it(
    server: Server, body: dict[str, object], field: str
):
    raw = json.dumps(body).encode()
    problem = await refused(server, 422, "invalid_body", "POST", "/api/runs", raw=raw, headers=JSON)
    assert isinstance(problem["errors"], list)
    assert problem["errors"][0]["location"] == ["body", field]


@pytest.mark.parametrize("raw", [b"[]", b'"hi"', b"1", b"null", b"true"])
async def test_json_that_is_no_object_is_a_422(server: Server, raw: bytes):
    await refused(server, 422, "invalid_body", "POST", "/api/runs", raw=raw, headers=JSON)


async def test_a_background_run_that_is_not_durable_is_a_422(server: Server):
    problem = await refused(
        server, 422, "invalid_body", "POST", "/api/runs",
        body={"input": "hi", "mode": "background", "durable": False},
    )  # fmt: skip
    assert "durable" in json.dumps(problem)


@pytest.mark.parametrize(
    "name", ["nobody", "", "GIVE", " give", "a" * 10_000, "\0", "give\n", "../echo", "é\u2028"]
)
async def test_an_unknown_agent_is_a_404_that_names_those_there_are(server: Server, name: str):
    problem = await refused(
        server, 404, "agent_not_found", "POST", "/api/runs", body={"input": "hi", "agent": name}
    )
    assert "echo, extractive, give" in str(problem["detail"])
    assert len(str(problem["detail"])) < 1000


@pytest.mark.parametrize("value", [{}, {"texts": "a"}, 1, None, [], [{"role": "user"}], True])
async def test_an_input_that_the_agent_does_not_take_is_a_422(server: Server, value: object):
    await refused(
        server, 422, "invalid_input", "POST", "/api/runs", body={"input": value, "agent": "echo"}
    )


async def test_an_input_of_another_type_is_a_422_that_says_where(server: Server):
    problem = await refused(
        server, 422, "invalid_input", "POST", "/api/runs",
        body={"input": "many", "agent": "large"},
    )  # fmt: skip
    assert isinstance(problem["errors"], list)
    assert problem["errors"][0]["location"] == ["input"]


async def test_a_directive_of_echo_that_is_out_of_bounds_fails_the_run(server: Server):
    got = await server.run("chunks=1000001", agent="echo")
    assert (got.status, got.json()["status"]) == (200, "failure")


async def test_a_body_that_is_too_large_is_a_413(server: Server):
    await refused(server, 413, "body_too_large", "POST", "/api/runs", body={"input": "x" * 100_000})


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "\xff"]
)
async def test_another_media_type_is_a_415(server: Server, kind: str):
    await refused(
        server, 415, "unsupported_media_type", "POST", "/api/runs",
        raw=b'{"input":"hi"}', headers={"content-type": kind},
    )  # fmt: skip


NUMBERS = ["18446744073709551616", "-9223372036854775809", "1" + "0" * 400, "-" + "9" * 4000,
           "1e308", "1e999", "-0.0", "1.7976931348623157e308", "5e-324"]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:30])
@pytest.mark.parametrize("where", ['{"input":%s}', '{"input":{"a":[%s]}}',
                                   '{"input":1,"metadata":{"n":%s}}'])  # fmt: skip
@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}], ids=["no key", "key"])
async def test_numbers_of_any_size_are_taken_or_refused_but_never_break(
    server: Server, number: str, where: str, key: dict[str, str]
):
    raw = (where % number).encode()
    got = await server.client.send("POST", "/api/runs", raw=raw, headers=JSON | key)
    assert got.status in (200, 400, 422), got.body
    if got.status == 200:
        assert got.json()["status"] == "success", got.body
        assert (await server.show(got.json()["id"]))["status"] == "success"


async def test_numbers_that_are_larger_than_a_machine_word_are_kept(server: Server):
    for number in (2**64, -(2**63) - 1, 10**400):
        raw = b'{"input":%d}' % number
        got = await server.client.send("POST", "/api/runs", raw=raw, headers=JSON)
        assert got.json()["output"] == number


async def test_the_words_of_no_number_may_stand_in_a_text(server: Server):
    got = await server.run("NaN or -Infinity")
    assert got.json()["output"] == "NaN or -Infinity"


@pytest.mark.parametrize("text", ["a\0b", "\0", "\u2028", "\ufffe", "🚀", "\x7f\x1b[31m", "a\r\nb"])
async def test_odd_characters_are_kept(server: Server, text: str):
    got = await server.run(text, session=text, metadata={text: text}, agent="echo", durable=True)
    assert got.status == 200, got.body
    shown = await server.show(got.json()["id"])
    assert (shown["output"], shown["session"], shown["metadata"]) == (text, text, {text: text})


async def test_metadata_that_no_event_can_hold_is_a_413(server: Server):
    async with serving(give) as roomy:
        for durable in (True, False):
            await refused(
                roomy, 413, "event_too_large", "POST", "/api/runs",
                body={"input": "hi", "metadata": {"note": "x" * 300_000}, "durable": durable},
            )  # fmt: skip
        assert (await roomy.client.get("/api/runs")).json()["runs"] == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(
    ["input", "agent", "mode", "durable", "session", "metadata", "expiry_seconds",
     "deadline_seconds", "wait_seconds", "other"]), jsons, max_size=4))  # fmt: skip
async def test_no_json_ever_breaks_it(server: Server, body: dict[str, object]):
    got = await server.client.post("/api/runs", body | {"mode": body.get("mode", "background")})
    assert got.status in (202, 404, 422), got.body


@pytest.mark.parametrize("key", ["", " ", "x" * 10_000, "\xff", "a b", "\t"])
async def test_odd_idempotency_keys_never_break_it(server: Server, key: str):
    headers = {"idempotency-key": key}
    answers = [
        await server.client.post("/api/runs", {"input": "hi"}, headers=headers) for _ in range(2)
    ]
    statuses = {answer.status for answer in answers}
    assert statuses in ({200}, {400})
    if statuses == {200}:
        assert len({answer.json()["id"] for answer in answers}) == 1


# --- naming a run -------------------------------------------------------------------------------

PATHS = [
    ("GET", "/api/runs/{}"),
    ("GET", "/api/runs/{}/events"),
    ("GET", "/api/runs/{}/objects/x"),
    ("POST", "/api/runs/{}/cancel"),
    ("DELETE", "/api/runs/{}"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "run",
    [NOBODY, "x", "0", "null", "latest", "%00", "\0", "é", "\ud800", "a" * 5000, "-", "..", "_",
     NOBODY + "0", NOBODY[:-1]],
    ids=lambda run: ascii(run)[:20],
)  # fmt: skip
async def test_an_unknown_or_malformed_run_id_is_a_404(
    server: Server, method: str, path: str, run: str
):
    await refused(server, 404, "run_not_found", method, path.format(run))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/api"), ("GET", "/api/run"), ("GET", "/api/runs/"), ("POST", "/runs"),
     ("GET", "/api/runs//events"), ("GET", f"/api/runs/{NOBODY}/"), ("GET", "/api/v2/runs"),
     ("GET", f"/api/runs/{NOBODY}/objects"), ("GET", f"/api/runs/{NOBODY}/objects/"),
     ("GET", f"/api/runs/{NOBODY}/objects/a/b"), ("HEAD", "/nothing")],
)  # fmt: skip
async def test_an_unknown_route_is_a_404(server: Server, method: str, path: str):
    await refused(server, 404, "route_not_found", method, path)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/runs", "GET, POST"),
        ("DELETE", "/api/runs", "GET, POST"),
        ("POST", "/api/agents", "GET"),
        ("POST", f"/api/runs/{NOBODY}", "DELETE, GET"),
        ("PATCH", f"/api/runs/{NOBODY}", "DELETE, GET"),
        ("GET", f"/api/runs/{NOBODY}/cancel", "POST"),
        ("HEAD", f"/api/runs/{NOBODY}/cancel", "POST"),
        ("POST", f"/api/runs/{NOBODY}/events", "GET"),
        ("DELETE", "/health", "GET"),
        ("TRACE", "/ready", "GET"),
    ],
)
async def test_a_wrong_method_is_a_405_with_allow(
    server: Server, method: str, path: str, allow: str
):
    got = await server.client.send(method, path)
    assert (got.status, got.headers["allow"]) == (405, allow)
    assert got.json()["code"] == "method_not_allowed"


# --- reading events and lists -------------------------------------------------------------------


@pytest.fixture
async def finished(server: Server) -> str:
    got = await server.run("a b c", agent="echo", durable=True)
    return got.json()["id"]


@pytest.mark.parametrize(
    "cursor", ["x", "-1", "1.0", "1e3", "²", "٣", "9" * 30, " 1", "0x1", "7", "1,2"]
)
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_bad_cursor_is_a_400(server: Server, finished: str, cursor: str, accept: str):
    path = f"/api/runs/{finished}/events"
    encoded = "".join(f"%{byte:02x}" for byte in cursor.encode())
    await refused(
        server, 400, "bad_cursor", "GET", path,
        query=f"after={encoded}", headers={"accept": accept},
    )  # fmt: skip
    await refused(
        server, 400, "bad_cursor", "GET", path,
        headers={"accept": accept, "last-event-id": cursor.encode()},
    )  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=", "from=1", "types=run.imagined", "types=",
     "types=,", "types=output.chunk,x", "after=1&before=2"],
)  # fmt: skip
async def test_a_wrong_query_for_events_is_a_422(server: Server, finished: str, query: str):
    await refused(server, 422, "invalid_query", "GET", f"/api/runs/{finished}/events", query=query)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=-1", "limit=all", "status=done", "status=", "page=2"],
)
async def test_a_wrong_query_for_a_list_is_a_422(server: Server, query: str):
    await refused(server, 422, "invalid_query", "GET", "/api/runs", query=query)


@pytest.mark.parametrize("cursor", ["x", "1", "%00", "%ff", "a" * 1000, "resp_", "-1"])
async def test_a_bad_cursor_for_a_list_is_a_400(server: Server, cursor: str):
    await refused(server, 400, "bad_cursor", "GET", "/api/runs", query=f"cursor={cursor}")


@pytest.mark.parametrize("name", ["x", "0" * 32, "..", "%00", "\0", "a" * 1000])
async def test_an_unknown_object_is_a_404(server: Server, finished: str, name: str):
    await refused(server, 404, "object_not_found", "GET", f"/api/runs/{finished}/objects/{name}")


# --- what contradicts what is there -------------------------------------------------------------


async def test_a_key_with_another_body_is_a_409():
    async with serving(give) as server:
        headers = {"idempotency-key": "k1"}
        first = await server.client.post("/api/runs", {"input": "a"}, headers=headers)
        assert first.status == 200
        await refused(
            server, 409, "idempotency_key_reused", "POST", "/api/runs",
            body={"input": "b"}, headers=headers,
        )  # fmt: skip


async def test_deleting_an_unfinished_run_is_a_409():
    gated = Gated()
    async with serving(gated.agent) as server:
        started = await server.run("hi", mode="background")
        run = started.json()["id"]
        await refused(server, 409, "run_unfinished", "DELETE", f"/api/runs/{run}")
        gated.gate.open()
        assert (await server.ended(run))["status"] == "success"


async def test_cancelling_a_finished_run_is_a_409(server: Server, finished: str):
    await refused(server, 409, "run_finished", "POST", f"/api/runs/{finished}/cancel")


# --- who asks -----------------------------------------------------------------------------------


async def test_a_jwt_that_nobody_can_verify_is_a_401(server: Server):
    headers = {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."}
    for method, path in [("GET", "/api/runs"), ("GET", "/api/agents"), *PATHS]:
        got = await server.client.send(method, path.format(NOBODY), headers=headers)
        assert (got.status, got.json()["code"]) == (401, "token_not_accepted")
        assert got.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["Bearer abc", "Basic YTpi", "nonsense", "", "\xff", "Bearer "])
async def test_any_other_credential_is_anonymous(server: Server, value: str):
    got = await server.client.get("/api/runs", headers={"authorization": value})
    assert got.status == 200


async def test_a_web_page_of_another_origin_is_a_403(server: Server):
    await refused(
        server, 403, "foreign_origin", "POST", "/api/runs",
        body={"input": "hi"}, headers={"origin": "https://evil.example"},
    )  # fmt: skip
    await refused(server, 403, "foreign_host", "GET", "/api/runs", headers={"host": "evil.example"})


async def test_metrics_are_not_for_those_who_come_through_a_proxy(server: Server):
    for name in ("forwarded", "x-forwarded-for", "x-real-ip"):
        await refused(server, 401, "token_required", "GET", "/metrics", headers={name: "1.2.3.4"})
    assert (await server.client.get("/metrics")).status == 200
