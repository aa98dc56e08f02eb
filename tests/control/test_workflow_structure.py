"""What a workflow file consists of, and what a front end is told in it."""

import pytest

from forebay.control.workflow.structure import Structure, read_structure
from forebay.core.errors import WorkflowError
from tests.support.workflows import Files


def structure(files: Files, text: str) -> Structure:
    return read_structure(files.read(text))


def told(files: Files, text: str) -> list[str]:
    """Everything that is wrong with a file."""
    found = structure(files, text)
    with pytest.raises(WorkflowError) as raised:
        found.refuse_problems()
    return raised.value.message.splitlines()


def test_sections_of_others_are_known(files: Files) -> None:
    found = structure(
        files,
        """
        functions: {a: {_type: calculator}}
        function_groups: {b: {_type: mcp_client}}
        llms: {c: {_type: openai}}
        embedders: {d: {_type: openai}}
        retrievers: {e: {_type: milvus}}
        memory: {f: {_type: mem0}}
        object_stores: {g: {_type: in_memory}}
        middleware: {h: {_type: cache}}
        authentication: {i: {_type: api_key}}
        ttc_strategies: {j: {_type: best}}
        workflow: {_type: react_agent, llm_name: c}
        eval: {general: {output_dir: x}}
        optimizer: {}
        trainers: {}
        trainer_adapters: {}
        trajectory_builders: {}
        finetuning: {}
        """,
    )
    assert found.problems == []
    assert found.types() == [
        ("functions", "calculator"),
        ("function_groups", "mcp_client"),
        ("llms", "openai"),
        ("embedders", "openai"),
        ("retrievers", "milvus"),
        ("memory", "mem0"),
        ("object_stores", "in_memory"),
        ("middleware", "cache"),
        ("authentication", "api_key"),
        ("ttc_strategies", "best"),
        ("workflow", "react_agent"),
    ]
    assert found.unused == [
        *("eval", "optimizer", "trainers", "trainer_adapters", "trajectory_builders"),
        "finetuning",
    ]


def test_sections_that_are_empty_hold_nothing(files: Files) -> None:
    found = structure(files, "general:\nfunctions:\nllms: {}\nworkflow:\n")
    assert (found.problems, found.types(), found.unused) == ([], [], [])


def test_everything_that_is_wrong_is_told_at_once(files: Files) -> None:
    assert told(
        files,
        """
        lms: {}
        functions: [a]
        llms:
          one: openai
          two: {model_name: x}
          three: {_type: 3}
        general:
          use_uvloop: true
          telemetrie: {}
        workflow: react_agent
        """,
    ) == [
        "w.yml:1: lms: there is no such section. Did you mean llms?",
        "w.yml:2: functions: this is a section with names below it.",
        "w.yml:4: llms.one: a component has `_type: …`.",
        "w.yml:5: llms.two._type: this key is needed: it says what it is.",
        "w.yml:6: llms.three._type: this key is needed: it says what it is.",
        "w.yml:9: general.telemetrie: there is no such key. Did you mean telemetry?",
        "w.yml:10: workflow: a component has `_type: …`.",
    ]


def test_a_refusal_has_a_problem_for_each_line(files: Files) -> None:
    with pytest.raises(WorkflowError) as raised:
        structure(files, "a: 1\nb: 2").refuse_problems()
    assert [each.location for each in raised.value.problems] == [("a",), ("b",)]
    assert raised.value.message.splitlines() == [each.message for each in raised.value.problems]


# --- front ends ---------------------------------------------------------------------------------


def test_a_front_end_gives_settings_with_their_places(files: Files) -> None:
    found = structure(
        files,
        """
        general:
          front_end:
            _type: fastapi
            host: 0.0.0.0
            port: 9000
            workers: 2
            db_url: sqlite+aiosqlite:///./jobs.db
            max_running_async_jobs: 4
            cors:
              allow_origins: ["http://ui.example"]
        """,
    )
    assert found.problems == []
    assert [(each.setting, each.value) for each in found.settings()] == [
        ("host", "0.0.0.0"),
        ("port", 9000),
        ("workers", 2),
        ("db_url", "sqlite+aiosqlite:///./jobs.db"),
        ("concurrency", 4),
        ("cors_origins", ("http://ui.example",)),
    ]
    lines = [found.file.place(each.keys).line for each in found.settings()]
    assert lines == [4, 5, 6, 7, 8, 10]
    assert found.unused == []


def test_what_a_file_does_not_say_is_no_setting(files: Files) -> None:
    found = structure(files, "general: {front_end: {db_url: null}}")
    assert list(found.settings()) == []


def test_the_front_end_of_ai_q_has_an_expiry(files: Files) -> None:
    text = "general: {front_end: {_type: %s, expiry_seconds: 7200}}"
    found = structure(files, text % "aiq_api")
    assert [(each.setting, each.value) for each in found.settings()] == [("expiry_seconds", 7200)]
    assert told(files, text % "fastapi") == [
        "w.yml:1: general.front_end.expiry_seconds: there is no such key."
    ]


def test_keys_without_effect_are_named_when_a_file_sets_them(files: Files) -> None:
    found = structure(
        files,
        """
        general:
          use_uvloop: true
          telemetry:
            logging: {console: {_type: console, level: INFO}}
          front_end:
            root_path: /x
            reload: false
            dask_workers: threads
            step_adaptor: {mode: custom, custom_event_types: [a]}
            identity_header: null
            cors: {allow_methods: ["*"], allow_origins: ["*"], max_age: 3}
            endpoints:
              - {path: /x, method: POST, description: x, function_name: f}
            workflow: {method: POST, description: x, path: /y}
        functions: {f: {_type: t}}
        """,
    )
    assert found.problems == []
    assert found.unused == [
        "general.use_uvloop",
        "general.telemetry",
        "general.front_end.cors.allow_methods",
        "general.front_end.cors.max_age",
        "general.front_end.root_path",
        "general.front_end.reload",
        "general.front_end.dask_workers",
        "general.front_end.step_adaptor",
        "general.front_end.identity_header",
        "general.front_end.workflow",
        "general.front_end.endpoints",
    ]


@pytest.mark.parametrize("kind", ["console", "mcp", "a2a", "fastapi2", "3"])
def test_another_front_end_is_refused(files: Files, kind: str) -> None:
    (message,) = told(files, f"general:\n  front_end:\n    _type: '{kind}'\n    port: 1\n")
    assert message == (
        f"w.yml:3: general.front_end._type: '{kind}' is not a front end that Forebay takes the "
        "place of: fastapi and aiq_api."
    )


@pytest.mark.parametrize(
    "runner",
    [
        "nat.front_ends.fastapi.fastapi_front_end_plugin_worker.FastApiFrontEndPluginWorker",
        "aiq_api.plugin.AIQAPIWorker",
        "null",
    ],
)
def test_workers_whose_work_we_do_are_accepted(files: Files, runner: str) -> None:
    found = structure(files, f"general: {{front_end: {{runner_class: {runner}}}}}")
    assert (found.problems, found.unused) == ([], [])


def test_another_worker_is_refused_with_those_that_are_known(files: Files) -> None:
    (message,) = told(files, "general:\n  front_end:\n    runner_class: mine.Worker\n")
    assert message.startswith("w.yml:3: general.front_end.runner_class: ")
    assert "aiq_api.plugin.AIQAPIWorker" in message


def test_wrong_values_are_told_without_them(files: Files) -> None:
    found = told(
        files,
        """
        general:
          front_end:
            prot: 1
            port: hush-hush
            workers: 0
            db_url: [hush-hush]
            cors: {allow_origins: hush-hush, allow_method: []}
            step_adaptor: {mode: hush-hush}
            endpoints:
              - {path: hush-hush, method: PATCH, description: x, function_name: f}
              - {path: /x, description: x, method: GET, function_name: nobody}
        """,
    )
    assert found == [
        "w.yml:3: general.front_end.prot: there is no such key. Did you mean port?",
        (
            "w.yml:4: general.front_end.port: input should be a valid integer, unable to parse "
            "string as an integer."
        ),
        "w.yml:5: general.front_end.workers: input should be greater than or equal to 1.",
        "w.yml:6: general.front_end.db_url: input should be a valid string.",
        "w.yml:7: general.front_end.cors.allow_origins: input should be a valid list.",
        (
            "w.yml:7: general.front_end.cors.allow_method: there is no such key. Did you mean "
            "allow_methods?"
        ),
        (
            "w.yml:8: general.front_end.step_adaptor.mode: input should be 'default', 'custom' or "
            "'off'."
        ),
        (
            "w.yml:10: general.front_end.endpoints[0].method: input should be 'GET', 'POST', "
            "'PUT' or 'DELETE'."
        ),
    ]


def test_what_a_front_end_names_has_to_be_there(files: Files) -> None:
    assert told(
        files,
        """
        general:
          front_end:
            object_store: store
            endpoints:
              - {path: /x, method: GET, description: x, function_name: adder}
              - {path: /y, method: GET, description: x, function_name: addr}
              - {path: /z, method: GET, description: x, function_name: web.search}
        functions: {adder: {_type: t}, other: {_type: t}}
        function_groups: {web: {_type: t}}
        """,
    ) == [
        "w.yml:3: general.front_end.object_store: `object_stores` has no 'store'. It is empty.",
        (
            "w.yml:6: general.front_end.endpoints[1].function_name: `functions` has no 'addr'. Did "
            "you mean adder? It has: adder, other."
        ),
    ]
