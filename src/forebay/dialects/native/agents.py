"""The routes of agents."""

from forebay.core.codec import encode_json
from forebay.core.errors import NoDefaultAgent
from forebay.desk.desk import Desk
from forebay.http.request import Request
from forebay.http.response import Answer, Response
from forebay.http.routing import Body, Route

from .errors import problem_response
from .models import AgentList


class AgentRoutes:
    """The handlers of `/api/agents`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Request) -> Answer:
        caller = self._desk.identify(request.header(b"authorization"))
        default = self._default()
        return Response(
            encode_json(
                {
                    "agents": [
                        {
                            "name": agent.name,
                            "description": agent.description,
                            "input_schema": agent.input_schema,
                            "default": agent.name == default,
                        }
                        for agent in self._desk.agents(caller)
                    ]
                }
            )
        )

    def _default(self) -> str | None:
        try:
            return self._desk.default_agent().name
        except NoDefaultAgent:
            return None


def agent_routes(routes: AgentRoutes) -> list[Route]:
    """The rows of `/api/agents`."""
    return [
        Route(
            method="GET",
            path="/api/agents",
            handler=routes.list,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag="agents",
            summary="List the agents you may use",
            answers={200: Body("The agents", AgentList)},
        )
    ]
