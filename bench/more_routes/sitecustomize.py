"""More routes for `forebay serve`: the interpreter imports this when its folder is on the path.

Whether finding a route depends on their number cannot be seen in the product as it is, and nothing
of this belongs into it. Only here, the process that answers has another application.
"""

import os
import sys


def _enlarge(count: int) -> None:
    # Imported here: other processes that find this file on their path are to stay as they are.
    from forebay.app import application  # noqa: PLC0415
    from forebay.dialects.native.errors import problem_response  # noqa: PLC0415
    from forebay.http.request import Request  # noqa: PLC0415
    from forebay.http.response import Answer, empty  # noqa: PLC0415
    from forebay.http.routing import Route  # noqa: PLC0415

    async def nothing(request: Request) -> Answer:
        del request
        return empty()

    def more_routes() -> list[Route]:
        # Half of them plain, half with parameters, and these below a path that is measured.
        paths = [f"/more/{number}" for number in range(0, count, 2)]
        paths += [f"/api/runs/{{run}}/more/{{part}}/{number}" for number in range(1, count, 2)]
        return [
            Route(
                method="POST",
                path=path,
                handler=nothing,
                access="always open",
                errors=problem_response,
                summary="Nothing",
            )
            for path in paths
        ]

    class LargerApplication(application.Application):
        """The same application behind more routes."""

        def _routes(self) -> list[Route]:
            return [*more_routes(), *super()._routes()]

    application.Application = LargerApplication


if any(argument.startswith("api:") for argument in sys.orig_argv):
    _enlarge(int(os.environ["BENCH_MORE_ROUTES"]))
