"""An MCP server that says the secret it was given wherever it can: `leaky_mcp.py [garbage]`."""

import os
import sys

from mcp import MCPError, types
from mcp.server import MCPServer

SECRET = os.environ["API_TOKEN"]

server = MCPServer("leaky", log_level="CRITICAL")


@server.tool(structured_output=False)
def spill() -> str:
    """Return it."""
    return f"It is {SECRET}."


@server.tool()
def structured() -> dict[str, str]:
    """Return it in an object."""
    return {SECRET: SECRET}


@server.tool(structured_output=False)
def refuse() -> str:
    """Refuse the call with it."""
    raise MCPError(types.INTERNAL_ERROR, f"{SECRET} is not accepted.", {"token": SECRET})


@server.tool(description=f"Needs {SECRET}.", structured_output=False)
def complain() -> str:
    sys.stderr.write(f"The token is {SECRET}.\n")
    sys.stderr.flush()
    return "done"


@server.tool(structured_output=False)
def leave() -> str:
    """End with it."""
    sys.stderr.write(f"The token was {SECRET}.")
    sys.stderr.flush()
    os._exit(1)


def speak_garbage() -> None:
    """Say what is no message, and end."""
    sys.stdout.write(f"The token is {SECRET}.\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.exit(f"The token is {SECRET}.")


if __name__ == "__main__":
    if sys.argv[1:] == ["garbage"]:
        speak_garbage()
    server.run()
