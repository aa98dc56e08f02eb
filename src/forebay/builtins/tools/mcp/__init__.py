"""mcp_client: the tools of a server that speaks the Model Context Protocol, as a group.

Nothing of the protocol's package is imported, and nobody is connected to, before the first use.
"""

from forebay.ports.components import Registry

from .config import McpClient
from .group import McpGroup


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_group("mcp_client", McpClient, McpGroup)
