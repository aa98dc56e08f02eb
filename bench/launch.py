"""`forebay serve` with more routes than it has: `python -m bench.launch MORE_ROUTES`.

Whether finding a route depends on their number cannot be seen in the product as it is, and nothing
of this belongs into it: only here, the application that the command makes is another one.
"""

import sys

import forebay.app
from forebay.cli.main import main
from forebay.dialects.native.errors import problem_response
from forebay.http.request import Request
from forebay.http.response import Answer, empty
from forebay.http.routing import Route


async def _nothing(request: Request) -> Answer:
    del request
    return empty()


def _more_routes(count: int) -> list[Route]:
    # Half of them plain, half with parameters, and these below a path that is measured.
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


class LargerApplication(forebay.app.Application):
    """The same application behind more routes."""

    more_routes = 0

    def _routes(self) -> list[Route]:
        return [*_more_routes(self.more_routes), *super()._routes()]


if __name__ == "__main__":
    LargerApplication.more_routes = int(sys.argv[1])
    forebay.app.Application = LargerApplication
    sys.exit(main(["serve"]))
