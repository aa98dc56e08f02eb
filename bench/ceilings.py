"""The ceilings: raw ASGI on the same uvicorn, doing the least that the same answer takes.

`python -m bench.ceilings PORT`. `POST /echo` decodes and encodes JSON. `POST /stream` encodes each
chunk as a server-sent event and sends it by itself, at once or every `delay` milliseconds; with
`joined` all of them go out in one send.
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvicorn

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream")

_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct):
    """The body of both routes."""

    input: str
    chunks: int = 0
    delay: int = 0
    joined: bool = False


_decode = msgspec.json.Decoder(Asked).decode


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo, stream, and a `/ready` to wait for."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["path"] == "/echo":
        asked = _decode(await _body(receive))
        await _answer(send, _encode({"output": asked.input}))
    elif scope["path"] == "/stream":
        await _stream(_decode(await _body(receive)), send)
    else:
        await _answer(send, b"{}")


async def _body(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


async def _answer(send: Any, body: bytes) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(asked: Asked, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [_EVENTS]})
    pause = asked.delay / 1000
    numbers = range(1, asked.chunks + 1)
    if asked.joined:
        frames = b"".join([_frame(number) for number in numbers])
        await send({"type": "http.response.body", "body": frames, "more_body": True})
        numbers = ()
    for number in numbers:
        if pause:
            await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": _frame(number), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _frame(number: int) -> bytes:
    event = {"number": number, "type": "output.chunk", "text": f"tok{number} "}
    return b"id: %d\nevent: output.chunk\ndata: %b\n\n" % (number, _encode(event))


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    # What `forebay serve` tells uvicorn, too.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        interface="asgi3",
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
