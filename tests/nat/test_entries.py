"""What a workflow file offers is known without NAT."""

import pytest

from forebay.builtins.agents.nat.entries import Entry, entries_of
from forebay.control.workflow.reading import read_workflow
from forebay.core.errors import WorkflowError
from forebay.core.json import Json

from .conftest import CONFIGS


def test_the_workflow_and_the_functions_of_endpoints_are_agents():
    data = read_workflow(CONFIGS / "main.yml", {}).data
    assert entries_of(data, "main.yml") == [
        Entry("workflow", None, "NAT workflow (echo_flow)"),
        Entry("failer", "failer", "failing"),
        Entry("hitl", "hitl", "human"),
        Entry("chatty", "chatty", "chat types"),
        Entry("singleonly", "singleonly", "single"),
        Entry("streamonly", "streamonly", "stream"),
        Entry("headers", "headers", "headers"),
    ]


def test_what_a_component_says_of_itself_counts_more_than_its_endpoint():
    data = file_with("search", functions={"search": {"_type": "x", "description": "Searches"}})
    assert entries_of(data, "w.yml")[1] == Entry("search", "search", "Searches")


@pytest.mark.parametrize("name", ["web__search", "web.search"])
def test_a_function_may_be_in_a_group(name: str):
    data = file_with(name, function_groups={"web": {"_type": "mcp_client"}})
    assert entries_of(data, "w.yml")[1].function == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "w.yml: general.front_end.endpoints[0].function_name: there is no function"),
        ("workflow", "'workflow' is the name of the workflow"),
    ],
)
def test_an_endpoint_of_a_function_that_is_not_there_is_refused(name: str, message: str):
    with pytest.raises(WorkflowError) as raised:
        entries_of(file_with(name), "w.yml")
    assert message in raised.value.message


def test_a_file_without_a_workflow_is_refused():
    with pytest.raises(WorkflowError, match=r"w\.yml: there is no `workflow`\."):
        entries_of({"functions": {}}, "w.yml")


def test_what_nat_itself_complains_of_is_left_to_it():
    front_end: Json = {"endpoints": [5, {"function_name": 5}]}
    data: dict[str, Json] = {"workflow": {"_type": "x"}, "general": {"front_end": front_end}}
    assert [entry.agent for entry in entries_of(data, "w.yml")] == ["workflow"]


def file_with(endpoint: str, **sections: Json) -> dict[str, Json]:
    front_end: Json = {"endpoints": [{"function_name": endpoint, "description": "e"}]}
    return {"workflow": {"_type": "x"}, "general": {"front_end": front_end}, **sections}
