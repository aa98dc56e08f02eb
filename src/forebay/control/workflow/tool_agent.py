"""A tool as the workflow of a file: whoever starts a run calls it."""

from collections.abc import Mapping
from typing import cast

from forebay.core.errors import InvalidInput
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context, Style
from forebay.ports.tools import Tool


class ToolAgent:
    """An agent that calls one tool, and answers what that returns."""

    style: Style = "async function"

    def __init__(self, tool: Tool) -> None:
        self.name = tool.name
        self.description = tool.description
        self.input_schema = tool.parameters

    def read_input(self, value: Json) -> Mapping[str, Json]:
        """The tool's arguments; a bare value is its only one. Raises InvalidInput."""
        if isinstance(value, dict):
            return value
        only = self._only_argument()
        if only is None:
            raise InvalidInput("The input is an object with the arguments of the tool.")
        return {only: value}

    def call(self, ctx: Context | BlockingContext, value: object) -> object:
        """Call the tool through the run, which counts it and asks for approval."""
        return ctx.use(self.name, cast("Mapping[str, Json]", value))

    def _only_argument(self) -> str | None:
        schema = self.input_schema
        properties = schema.get("properties") if isinstance(schema, dict) else None
        names = list(properties) if isinstance(properties, dict) else []
        return names[0] if len(names) == 1 else None
