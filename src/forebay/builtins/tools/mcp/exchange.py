"""HTTP for MCP: every request goes out under the rules of the server's own client.

The protocol's package lets go of a whole session when one request meets an error of the network.
So such an error becomes an answer to that one request, from which the caller can tell whether the
server may have heard of it.
"""

import httpx2

from forebay.core.codec import encode_json
from forebay.core.errors import AddressRefused, HttpError

NOT_SENT = 48_001
"""The code of an answer of ours: the server has not heard of the request."""
CUT_OFF = 48_002
"""It may have."""
SESSION_GONE = 48_003
"""It has, and knows nothing of the session."""
REFUSED = 48_004
"""The request may not be sent."""

_LARGEST_JSON_BYTES = 16 * 1024 * 1024
_LEAVING_SECONDS = 5.0
_OURS = "forebay"
_SESSION = "mcp-session-id"
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_TIMES = httpx2.Timeout(None, connect=10.0, write=30.0, pool=30.0)
"""How long a server may take to answer is the business of whoever calls a tool."""


def http_client(raw: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client that sends what it is given through another, which it closes."""
    return httpx2.AsyncClient(transport=_Through(raw), headers=raw.headers, timeout=_TIMES)


class _Through(httpx2.AsyncBaseTransport):
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":  # a farewell, for which nobody waits long
            request.extensions["timeout"] = httpx2.Timeout(_LEAVING_SECONDS).as_dict()
        try:
            response = await self._client.send(request, stream=True, follow_redirects=False)
            return await _readable(request, response)
        except _NEVER_SENT as error:
            return _answer(request, NOT_SENT, _said(error))
        except AddressRefused as error:
            return _answer(request, REFUSED, error.message)
        except (httpx2.HTTPError, HttpError) as error:
            return _answer(request, CUT_OFF, _said(error))

    async def aclose(self) -> None:
        await self._client.aclose()


async def _readable(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    status = response.status_code
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith("text/event-stream") and status < 400:
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream), "it was asked for by an async client"
        return httpx2.Response(status, headers=response.headers, stream=stream)
    body = await _whole(response)
    if status == 404 and _SESSION in request.headers:
        return _answer(request, SESSION_GONE, "The server does not know the session any more.")
    if status >= 400 and b'"jsonrpc"' not in body:
        code = CUT_OFF if status >= 500 else REFUSED
        return _answer(request, code, f"The server answered with status {status}.", status)
    kept = ("content-type", "location", _SESSION)
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return httpx2.Response(status, headers=headers, content=body)


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LARGEST_JSON_BYTES:
                raise httpx2.ReadError("the answer is too large", request=response.request)
    finally:
        await response.aclose()
    return bytes(body)


def _answer(request: httpx2.Request, code: int, message: str, status: int = 503) -> httpx2.Response:
    if request.method == "DELETE":
        return httpx2.Response(204)  # whoever does not hear the farewell has left before us
    told = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(
        status,
        headers={"content-type": "application/json"},
        content=encode_json(told),
        extensions={_OURS: (code, message)},
    )


def reason_of(response: httpx2.Response) -> tuple[int, str] | None:
    """The code and the message of an answer of ours."""
    return response.extensions.get(_OURS)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
