"""Files in the shape of AI-Q's, with the types that Forebay brings and without them."""

import pytest

from forebay.builtins import components
from forebay.control.workflow.building import build_workflow
from forebay.control.workflow.registry import Components
from forebay.control.workflow.structure import read_structure
from forebay.core.errors import WorkflowError
from tests.support.workflows import Files, Unused

WEB = """
general:
  telemetry:
    logging:
      console: {_type: console, level: INFO}
  front_end:
    _type: aiq_api
    runner_class: aiq_api.plugin.AIQAPIWorker
    db_url: ${NAT_JOB_STORE_DB_URL:-sqlite+aiosqlite:///./jobs.db}
    expiry_seconds: 86400
    cors:
      allow_origin_regex: 'http://localhost(:\\d+)?'
      allow_methods: [GET, POST, DELETE, OPTIONS]
      allow_headers: ["*"]
      allow_credentials: true
llms:
  nemotron_llm:
    _type: nim
    model_name: nvidia/llama-3.3-nemotron-super-49b-v1.5
    base_url: https://integrate.api.nvidia.com/v1
    api_key: ${NVIDIA_API_KEY}
    temperature: 0.1
    max_tokens: 4096
  judge_llm:
    _type: openai
    model_name: gpt-4.1-mini
    api_key: ${OPENAI_API_KEY}
functions:
  tavily_web_search:
    _type: tavily_web_search
    max_results: 5
  quick:
    _type: chat_completion
    llm_name: judge_llm
"""

OURS = f"""{WEB}
workflow:
  _type: tool_calling_agent
  llm_name: nemotron_llm
  tool_names: [tavily_web_search, quick]
"""

THEIRS = f"""{WEB}
  deep_research_agent:
    _type: deep_research_agent
    orchestrator_llm: nemotron_llm
    tools: [tavily_web_search]
workflow:
  _type: chat_deepresearcher_agent
"""


@pytest.fixture
def registry() -> Components:
    found = Components()
    components.register(found, {})
    return found


def test_a_file_of_ai_q_loads_if_forebay_has_its_types(files: Files, registry: Components) -> None:
    files.environment = {"NVIDIA_API_KEY": "nvapi-1", "OPENAI_API_KEY": "sk-1"}
    workflow = build_workflow(files.read(OURS), registry, Unused())
    assert sorted(workflow.models) == ["judge_llm", "nemotron_llm"]
    assert list(workflow.tools) == ["tavily_web_search"]
    assert list(workflow.agents) == ["quick"]
    assert workflow.workflow is not None
    assert workflow.unused == [
        "general.telemetry",
        "general.front_end.cors.allow_methods",
        "general.front_end.cors.allow_headers",
        "general.front_end.cors.allow_credentials",
    ]


def test_its_front_end_gives_settings(files: Files) -> None:
    said = {each.setting: each.value for each in read_structure(files.read(OURS)).settings()}
    assert said == {
        "db_url": "sqlite+aiosqlite:///./jobs.db",
        "expiry_seconds": 86400,
        "cors_origin_regex": r"http://localhost(:\d+)?",
    }


def test_a_file_of_ai_q_names_the_types_that_forebay_has_not(
    files: Files, registry: Components
) -> None:
    with pytest.raises(WorkflowError) as raised:
        build_workflow(files.read(THEIRS), registry, Unused())
    told = raised.value.message.splitlines()
    places = [line.partition(" is not a known type. ")[0] for line in told]
    assert places == [
        "w.yml:36: functions.deep_research_agent._type: 'deep_research_agent'",
        "w.yml:40: workflow._type: 'chat_deepresearcher_agent'",
    ]
    for line in told:
        assert "tool_calling_agent" in line
        assert "pip install 'forebay[nat]'" in line
