"""What a user's code is written with: agents and tools of Python functions."""

from forebay.authoring.acting import act
from forebay.authoring.agent_tools import AgentTool, agent_tool
from forebay.authoring.agents import FunctionAgent, Message, agent, agent_in, as_json, make_agent
from forebay.authoring.tools import FunctionTool, invalid_arguments, make_tool, tool, tool_in

__all__ = [
    "AgentTool",
    "FunctionAgent",
    "FunctionTool",
    "Message",
    "act",
    "agent",
    "agent_in",
    "agent_tool",
    "as_json",
    "invalid_arguments",
    "make_agent",
    "make_tool",
    "tool",
    "tool_in",
]
