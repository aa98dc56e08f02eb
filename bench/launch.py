"""Our server with many more routes than it has: `python -m bench.launch MORE_ROUTES`.

Whether finding a route depends on their number cannot be seen in the product as it is; nothing of
this belongs into it.
"""

import sys

import uvicorn
import uvloop

from forebay.app import Application
from forebay.dialects.native.errors import problem_response
from forebay.http.request import Request
from forebay.http.response import Answer, empty
from forebay.http.routing import Route
from forebay.settings import load


async def _nothing(request: Request) -> Answer:
    del request
    return empty()


def _more_routes(count: int) -> list[Route]:
    # Half of them plain, half with parameters, some of these below the paths that are measured.
    paths = [f"/more/{number}" for number in range(0, count, 2)]
    paths += [f"/api/runs/{{run}}/more/{{part}}/{number}" for number in range(1, count, 2)]
    return [
        Route(
            method="POST",
            path=path,
            handler=_nothing,
            access="always open",
            errors=problem_response,
            summary="Nothing",
        )
        for path in paths
    ]


class LargerApplication(Application):
    """The same application behind more routes."""

    more_routes = 0

    def _routes(self) -> list[Route]:
        return [*_more_routes(self.more_routes), *super()._routes()]


async def _serve() -> None:
    settings, _ = load()
    config = uvicorn.Config(
        LargerApplication(settings).edge,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    LargerApplication.more_routes = int(sys.argv[1])
    uvloop.run(_serve())
