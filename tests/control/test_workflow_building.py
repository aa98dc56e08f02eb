"""Building what a workflow file describes, from components of every kind."""

from collections.abc import Collection
from typing import Any, Literal

import pydantic
import pytest
from pydantic import ConfigDict, Field, SecretStr

from forebay.authoring import make_agent
from forebay.control.workflow.building import Workflow, build_workflow, foreign_types
from forebay.control.workflow.registry import Components
from forebay.control.workflow.structure import read_structure
from forebay.core.errors import InvalidInput, WorkflowError
from forebay.core.json import Json
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from tests.support.models import LengthEmbedder, NotedGroup, NotingTool, PlayedModel
from tests.support.workflows import Files, Unused


class Closed(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelConfig(Closed):
    model_name: str = Field(validation_alias=pydantic.AliasChoices("model_name", "model"))
    api_key: SecretStr | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    fallbacks: list[str] = Field([], json_schema_extra={"refers_to": "llms"})
    ssl: bool = Field(True, json_schema_extra={"has_effect": False})


class Nothing(Closed):
    pass


class ToolConfig(Closed):
    raises: Literal["ours", "theirs"] | None = None


class Branch(Closed):
    to: str = Field(json_schema_extra={"refers_to": "functions"})
    weight: int = Field(1, json_schema_extra={"has_effect": False})


class AgentConfig(Closed):
    llm_name: str
    tool_names: list[str] = []
    embedder_name: str | None = None
    roles: dict[str, str] = Field({}, json_schema_extra={"refers_to": "llms"})
    branches: list[Branch] = []


def make_model(name: str, config: ModelConfig, parts: Parts) -> PlayedModel:
    return PlayedModel(name, [], provider=config.model_name)


def make_embedder(name: str, config: Nothing, parts: Parts) -> LengthEmbedder:
    return LengthEmbedder(name)


def make_tool(name: str, config: ToolConfig, parts: Parts) -> NotingTool:
    if config.raises == "ours":
        raise WorkflowError("It needs a thing that is not there.")
    if config.raises == "theirs":
        raise ValueError("hush-hush")
    text: Json = {"type": "string"}
    return NotingTool(name, parameters={"type": "object", "properties": {"text": text}})


def make_one(name: str, config: AgentConfig, parts: Parts) -> Agent:
    async def one(text: str) -> str:
        return text

    return make_agent(one, name)


def make_group(name: str, config: Nothing, parts: Parts) -> NotedGroup:
    return NotedGroup(name, [])


@pytest.fixture
def components() -> Components:
    found = Components()
    found.add_model("played", ModelConfig, make_model)
    found.add_embedder("lengths", Nothing, make_embedder)
    found.add_function("note", ToolConfig, make_tool)
    found.add_function("agent", AgentConfig, make_one)
    found.add_group("noted", Nothing, make_group)
    return found


def built(
    files: Files, components: Components, text: str, others: Collection[str] = ()
) -> Workflow:
    return build_workflow(files.read(text), components, Unused(), others=others)


def told(files: Files, components: Components, text: str) -> list[str]:
    """Everything that is wrong with a file."""
    with pytest.raises(WorkflowError) as raised:
        built(files, components, text)
    return raised.value.message.splitlines()


WHOLE = """
    general: {use_uvloop: true}
    llms:
      main: {_type: played, model: m1, ssl: true}
      other: {_type: played, model_name: m2, fallbacks: [main]}
    embedders: {lengths: {_type: lengths}}
    function_groups: {web: {_type: noted}}
    functions:
      note: {_type: note}
      inner: {_type: agent, llm_name: other}
    workflow:
      _type: agent
      llm_name: main
      embedder_name: lengths
      tool_names: [note, inner, web, web.search, web__fetch, mine]
      roles: {judge: other}
      branches: [{to: inner, weight: 2}]
    eval: {}
"""


def test_a_workflow_has_what_its_file_describes(files: Files, components: Components) -> None:
    found = built(files, components, WHOLE, others=["mine"])
    assert (str(found.file), sorted(found.models)) == ("w.yml", ["main", "other"])
    assert found.models["other"].provider == "m2"
    assert found.models["main"].provider == "m1"
    assert [embedder.name for embedder in found.embedders.values()] == ["lengths"]
    assert list(found.tools) == ["note"]
    assert list(found.groups) == ["web"]
    assert list(found.agents) == ["inner"]
    assert found.workflow is not None
    assert found.workflow.name == "workflow"


def test_keys_without_effect_are_named_wherever_they_stand(
    files: Files, components: Components
) -> None:
    found = built(files, components, WHOLE, others=["mine"])
    assert found.unused == [
        "general.use_uvloop",
        "eval",
        "llms.main.ssl",
        "workflow.branches[0].weight",
    ]


def test_a_file_may_hold_nothing_but_models(files: Files, components: Components) -> None:
    found = built(files, components, "llms: {main: {_type: played, model_name: m}}")
    assert (found.workflow, dict(found.agents), list(found.models)) == (None, {}, ["main"])


def test_everything_that_is_wrong_is_told_at_once(files: Files, components: Components) -> None:
    assert told(
        files,
        components,
        """
        lms: {}
        llms:
          main: {_type: playd, api_key: hush-hush}
          hot: {_type: played, model_name: m, temperature: 20, api_key: hush-hush}
          keyed: {_type: played, modl_name: m, api_key: {hush: hush}}
        functions:
          note: {_type: note, raises: ours}
          theirs: {_type: note, raises: theirs}
          agent:
            _type: agent
            llm_name: mian
            tool_names: [not]
        workflow: {_type: agent, llm_name: main, tool_names: [note, hush]}
        """,
    ) == [
        "w.yml:1: lms: there is no such section. Did you mean llms?",
        (
            "w.yml:3: llms.main._type: 'playd' is not a known type. Did you mean played? Forebay "
            "has: played. If it is a NAT plugin's: pip install 'forebay[nat]' and that plugin, and "
            "the whole file runs under NAT."
        ),
        "w.yml:4: llms.hot.temperature: input should be less than or equal to 2.",
        "w.yml:5: llms.keyed.model_name: this key is needed.",
        "w.yml:5: llms.keyed.api_key: input should be a valid string.",
        "w.yml:5: llms.keyed.modl_name: there is no such key. Did you mean model_name?",
        "w.yml:7: functions.note: It needs a thing that is not there.",
        "w.yml:8: functions.theirs: note cannot be made of this: ValueError.",
        (
            "w.yml:11: functions.agent.llm_name: `llms` has no 'mian'. Did you mean main? It has: "
            "hot, keyed, main."
        ),
        (
            "w.yml:12: functions.agent.tool_names[0]: `functions` has no 'not'. Did you mean note? "
            "It has: agent, note, theirs."
        ),
        "w.yml:13: workflow.tool_names[1]: `functions` has no 'hush'. It has: agent, note, theirs.",
    ]


def test_a_type_without_any_like_it_is_told(files: Files, components: Components) -> None:
    (message,) = told(files, components, "retrievers: {r: {_type: milvus}}")
    assert message.startswith("w.yml:1: retrievers.r._type: 'milvus' is not a known type. Forebay ")
    assert "has none here" in message


def test_a_type_that_an_extra_would_bring_names_it(files: Files) -> None:
    (message,) = told(files, Components(), "function_groups: {m: {_type: mcp_client}}")
    assert "pip install 'forebay[mcp]'" in message


def test_names_in_names_are_looked_at(files: Files, components: Components) -> None:
    assert told(
        files,
        components,
        """
        llms: {main: {_type: played, model: m, fallbacks: [man]}}
        workflow:
          _type: agent
          llm_name: main
          roles: {judge: nobody}
          branches:
            - to: nobody
        """,
    ) == [
        "w.yml:1: llms.main.fallbacks[0]: `llms` has no 'man'. Did you mean main? It has: main.",
        "w.yml:5: workflow.roles.judge: `llms` has no 'nobody'. It has: main.",
        "w.yml:7: workflow.branches[0].to: `functions` has no 'nobody'. It is empty.",
    ]


def test_functions_that_lead_to_themselves_are_refused(
    files: Files, components: Components
) -> None:
    agent = "{_type: agent, llm_name: main, tool_names: [%s]}"
    text = f"""
        llms: {{main: {{_type: played, model: m}}}}
        functions:
          note: {{_type: note}}
          a: {agent % "note, b"}
          b: {agent % "c"}
          c: {agent % "a, b"}
          self: {agent % "self"}
          fine: {agent % "note, a"}
        workflow: {agent % "fine, a"}
    """
    assert told(files, components, text) == [
        "w.yml:6: functions.c.tool_names[0]: functions lead to themselves: a → b → c → a.",
        "w.yml:6: functions.c.tool_names[1]: functions lead to themselves: b → c → b.",
        "w.yml:7: functions.self.tool_names[0]: functions lead to themselves: self → self.",
    ]


def test_one_name_is_not_for_two(files: Files, components: Components) -> None:
    assert told(
        files,
        components,
        """
        function_groups: {note: {_type: noted}}
        functions:
          note: {_type: note}
          workflow: {_type: note}
        workflow: {_type: note}
        """,
    ) == [
        "w.yml:1: function_groups.note: a function has this name, at w.yml:3.",
        "w.yml:4: functions.workflow: a function needs another name beside a workflow.",
    ]


def test_a_tool_may_be_the_workflow(files: Files, components: Components) -> None:
    found = built(files, components, "workflow: {_type: note}")
    workflow = found.workflow
    assert workflow is not None
    assert (workflow.name, workflow.description) == ("workflow", "Notes what it is told")
    assert list(found.tools) == ["workflow"]
    assert workflow.read_input("hi") == {"text": "hi"}
    assert workflow.read_input({"text": "hi"}) == {"text": "hi"}


def test_a_tool_with_several_arguments_needs_an_object(
    files: Files, components: Components
) -> None:
    def build(name: str, config: Nothing, parts: Parts) -> NotingTool:
        return NotingTool(name, parameters={"properties": {"a": {}, "b": {}}})

    components.add_function("two", Nothing, build)
    workflow = built(files, components, "workflow: {_type: two}").workflow
    assert workflow is not None
    with pytest.raises(InvalidInput):
        workflow.read_input("hi")


def test_a_variable_that_is_not_set_is_named_where_it_matters(
    files: Files, components: Components
) -> None:
    text = """
        llms:
          main: {_type: played, api_key: "${KEY}",
            model: "m", temperature: "${HEAT}"}
        workflow: {_type: two}
    """
    components.add_function("two", Nothing, lambda name, config, parts: NotingTool(name))
    (problem,) = told(files, components, text)
    assert problem.startswith("w.yml:3: llms.main.temperature: ")
    assert problem.endswith(" The variable HEAT is not set, or empty.")


def test_types_that_are_not_ours_can_be_told(files: Files, components: Components) -> None:
    structure = read_structure(
        files.read("""
        llms: {main: {_type: played, model: m}}
        functions: {a: {_type: theirs}, b: {_type: note}}
        workflow: {_type: played}
        """)
    )
    foreign: list[Any] = [
        (each.section, each.type) for each in foreign_types(structure, components)
    ]
    assert foreign == [("functions", "theirs"), ("workflow", "played")]
    assert components.knows("workflow", "note")
    assert components.types("workflow") == ["agent", "note"]
