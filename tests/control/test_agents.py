"""The catalogue of agents, and who answers when nobody is named."""

import pytest

from forebay.authoring import FunctionAgent, make_agent
from forebay.control.agents import Agents
from forebay.core.errors import AgentLoadError, AgentNotFound, NoDefaultAgent


def named(name: str) -> FunctionAgent:
    async def body(text: str) -> str:
        return text

    return make_agent(body, name)


ECHO, ONE, TWO = named("echo"), named("one"), named("two")


def test_agents_are_found_by_name_and_listed_by_it():
    agents = Agents([TWO, ONE], [ECHO])
    assert agents.get("two") is TWO
    assert agents.get("echo") is ECHO
    assert [agent.name for agent in agents.all()] == ["echo", "one", "two"]
    assert agents.names == "echo, one, two"


def test_an_unknown_name_is_told_those_there_are():
    with pytest.raises(AgentNotFound, match="echo, one"):
        Agents([ONE], [ECHO]).get("two")


@pytest.mark.parametrize(
    ("own", "chosen", "default"),
    [
        ([], None, ECHO),
        ([ONE], None, ONE),
        ([ONE, TWO], "two", TWO),
        ([ONE, TWO], "echo", ECHO),
        ([], "echo", ECHO),
        ([named("echo")], None, None),
    ],
)
def test_the_default_agent(
    own: list[FunctionAgent], chosen: str | None, default: FunctionAgent | None
):
    assert Agents(own, [ECHO], chosen).default() is (default or own[0])


def test_of_several_agents_none_is_the_default_unless_one_is_chosen():
    with pytest.raises(NoDefaultAgent, match="one, two"):
        Agents([ONE, TWO], [ECHO]).default()


def test_an_own_agent_takes_the_place_of_a_built_in_one():
    own = named("echo")
    assert Agents([own], [ECHO]).get("echo") is own


def test_a_default_that_is_not_there_is_refused():
    with pytest.raises(AgentLoadError, match="three"):
        Agents([ONE], [ECHO], "three")


def test_two_agents_of_one_name_are_refused():
    with pytest.raises(AgentLoadError, match="'one'"):
        Agents([ONE, named("one")], [ECHO])


def test_an_agent_that_only_others_can_execute_is_known_all_the_same():
    agents = Agents([ONE, TWO], [ECHO], "one", elsewhere=["one"])
    assert agents.default() is ONE
    assert [agent.name for agent in agents.all()] == ["echo", "one", "two"]
    assert [agent.name for agent in agents.here()] == ["echo", "two"]
    assert [agents.is_elsewhere(name) for name in ("one", "two")] == [True, False]
