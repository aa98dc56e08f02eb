"""Workflow files as they are read: bases, texts, variables, overrides, and where it all stands."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.control.workflow.reading import TEXTS, read_workflow
from forebay.control.workflow.tree import merged, parse
from forebay.core.errors import WorkflowError
from tests.support.workflows import Files

# --- YAML ---------------------------------------------------------------------------------------


def test_a_file_is_read_as_yaml_reads_it(files: Files) -> None:
    read = files.read("""
        llms:
          one: {_type: openai, temperature: 0.5, seed: 7, stream: yes, stop: [a, "1"], key: null}
          2: {day: 2026-11-20}
        text: |
          two
          lines
    """)
    assert read.data == {
        "llms": {
            "one": {
                "_type": "openai",
                "temperature": 0.5,
                "seed": 7,
                "stream": True,
                "stop": ["a", "1"],
                "key": None,
            },
            "2": {"day": "2026-11-20"},
        },
        "text": "two\nlines\n",
    }


def test_anchors_and_merge_keys_are_read(files: Files) -> None:
    read = files.read("""
        llms:
          one: &one {_type: openai, temperature: 0, seed: 1}
          two: {<<: *one, temperature: 1}
          three: {<<: [{seed: 3}, *one]}
          same: *one
    """)
    one = {"_type": "openai", "temperature": 0, "seed": 1}
    assert read.data["llms"] == {
        "one": one,
        "two": one | {"temperature": 1},
        "three": one | {"seed": 3},
        "same": one,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: [1\n", "w.yml:3: this is no YAML: did not find expected ',' or ']'."),
        ("a:\n\t- b\n", "w.yml:2: this is no YAML: "),
        ("a: \x01\n", "w.yml: this is no YAML: "),
        ("a: 1\nb: 2\na: 3\n", "w.yml:3: this key stands in line 1 too."),
        ("a: *b\n", "w.yml:1: an alias (*…) stands for an anchor (&…) that is not there."),
        ("a: &a\n  b: *a\n", "w.yml:2: an alias stands inside what it stands for."),
        ("a: !!python/object/apply:os.system [x]\n", "w.yml:1: this tag is not read here."),
        ("a: !!python/name:os.system x\n", "w.yml:1: this tag, or a value with it, is not read"),
        ("a: !!int x\n", "w.yml:1: this tag, or a value with it, is not read"),
        ("a: !mine {}\n", "w.yml:1: this tag is not read here."),
        ("? [a]\n: 1\n", "w.yml:1: a key has to be a text."),
        ("a: 1\n---\nb: 1\n", "w.yml:2: a second document begins; only one is read."),
        ("a: {<<: 1}\n", "w.yml:1: << takes a mapping, or a list of mappings."),
        ("", "w.yml: a workflow file has `key: value` lines."),
        ("# nothing\n", "w.yml: a workflow file has `key: value` lines."),
        ("- a\n", "w.yml:1: a workflow file has `key: value` lines."),
    ],
)
def test_what_is_no_workflow_file_is_told_with_its_line(files: Files, text: str, told: str) -> None:
    assert files.refused(text).startswith(told)


def test_nothing_that_a_file_names_is_executed(files: Files) -> None:
    files.refused("a: !!python/object/apply:os.mkdir [made]\n")
    assert not (files.folder / "made").exists()


def test_values_that_grow_without_bound_are_refused(files: Files) -> None:
    laughs = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 100,000 values" in files.refused("\n".join(laughs))


def test_values_that_stand_in_one_another_without_bound_are_refused(files: Files) -> None:
    assert "64 deep" in files.refused(f"a: {'[' * 100_000}")
    assert "64 deep" in files.refused(f"a: {'{b: ' * 500}1{'}' * 500}")


def test_a_broken_file_tells_nothing_of_its_values(files: Files) -> None:
    files.environment = {"KEY": "*hush-1234", "OTHER": "!hush!1234 x", "THIRD": "%hush-1234"}
    for name in files.environment:
        assert "hush" not in files.refused(f"llms:\n  key: ${{{name}}}\n")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "workflow file: there is no file w.yml."),
        (b"a: \xff", "workflow file: w.yml is not written in UTF-8."),
        (b"#" * (4 * 2**20 + 1), "workflow file: w.yml is larger than 4 MiB."),
    ],
)
def test_a_file_that_cannot_be_read_is_told(files: Files, data: bytes | None, told: str) -> None:
    if data is not None:
        (files.folder / "w.yml").write_bytes(data)
    with pytest.raises(WorkflowError) as raised:
        files.again()
    assert raised.value.message == told


def test_a_folder_is_no_workflow_file(files: Files) -> None:
    (files.folder / "w.yml").mkdir()
    with pytest.raises(WorkflowError, match=r"w\.yml cannot be read: Is a directory"):
        files.again()


# --- variables ----------------------------------------------------------------------------------


def test_variables_are_put_in_before_the_text_is_read(files: Files) -> None:
    files.environment = {"PORT": "8123", "LIST": "[a, b]", "NAME": "key"}
    read = files.read("${NAME}: {port: ${PORT}, list: ${LIST}, none: ${NOT_SET}, d: ${X:-1}}")
    assert read.data == {"key": {"port": 8123, "list": ["a", "b"], "none": None, "d": 1}}


def test_variables_in_variables_are_put_in_too(files: Files) -> None:
    files.environment = {"URL": "http://${HOST}/v1", "HOST": "there"}
    assert files.read("a: ${URL}\nb:\n- ${URL}").data == {
        "a": "http://there/v1",
        "b": ["http://there/v1"],
    }


def test_a_variable_that_cannot_be_read_is_told_with_its_line(files: Files) -> None:
    assert files.refused("a: 1\nb: ${A:?x}\n") == (
        "w.yml:2: ${ begins neither ${NAME} nor ${NAME:-default}."
    )


def test_a_variable_of_several_lines_moves_no_place(files: Files) -> None:
    files.environment = {"LINES": "\n  - one\n  - two"}
    read = files.read("a: ${LINES}\nb: 1\n")
    assert read.data == {"a": ["one", "two"], "b": 1}
    assert str(read.place(("a", 1))) == "w.yml:1"
    assert str(read.place(("b",))) == "w.yml:2"


# --- bases --------------------------------------------------------------------------------------


def test_a_file_stands_on_top_of_its_base(files: Files) -> None:
    files.write("llms: {a: {seed: 1, stop: [x, y]}, b: {seed: 2}}", "deep/first.yml")
    files.write("base: first.yml\nllms: {a: {seed: 3}}", "deep/second.yml")
    read = files.read("base: deep/second.yml\nllms: {a: {stop: [z]}, c: {seed: 4}}")
    assert read.data == {
        "llms": {"a": {"seed": 3, "stop": ["z"]}, "b": {"seed": 2}, "c": {"seed": 4}}
    }


def test_every_value_knows_the_file_it_comes_from(files: Files) -> None:
    files.write("llms:\n  a:\n    seed: 1\n    top: 2\n", "deep/first.yml")
    read = files.read("\n\nbase: deep/first.yml\nllms:\n  a:\n    seed: 3\n")
    assert str(read.place(("llms", "a", "seed"))) == "w.yml:4"
    assert str(read.place(("llms", "a", "top"))) == f"deep{os.sep}first.yml:4"
    assert str(read.place(("llms", "a", "nothing"))) == "w.yml:3"


def test_a_file_may_be_named_in_any_way(files: Files) -> None:
    path = files.write("base: ../base.yml\nb: 1", "in/w.yml")
    files.write("a: 1", "base.yml")
    read = read_workflow(path, {})
    assert read.data == {"a": 1, "b": 1}
    assert str(read.place(("a",))) == f"{files.folder / 'base.yml'}:1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: w.yml\na: 1", "w.yml:1: base: a file cannot be its own base: w.yml → w.yml."),
        ("base: nowhere.yml\na: 1", "w.yml:1: base: there is no file nowhere.yml."),
        ("a: 1\nbase: [x]", "w.yml:2: base: it has to be the name of another workflow file."),
        ("a: 1\nbase:", "w.yml:2: base: it has to be the name of another workflow file."),
    ],
)
def test_a_base_that_cannot_be_used_is_told(files: Files, text: str, told: str) -> None:
    assert files.refused(text) == told


def test_a_circle_of_bases_is_told_with_its_files(files: Files) -> None:
    files.write("base: c.yml", "b.yml")
    files.write("base: ./w.yml", "c.yml")
    assert files.refused("base: b.yml") == (
        "c.yml:1: base: a file cannot be its own base: w.yml → b.yml → c.yml → w.yml."
    )


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", TEXTS)
def test_a_value_may_stand_in_a_text_of_its_own(files: Files, suffix: str) -> None:
    files.write("You are ${KIND}.\n", f"prompts/system{suffix}")
    read = files.read(f"workflow: {{prompt: file://prompts/system{suffix}}}")
    assert read.data == {"workflow": {"prompt": "You are ${KIND}.\n"}}


def test_a_text_is_looked_for_beside_the_file_that_names_it(files: Files) -> None:
    files.write("a: {prompt: file://p.md}", "deep/base.yml")
    files.write("deep", "deep/p.md")
    files.write("here", "p.md")
    assert files.read("base: deep/base.yml\nb: {prompt: file://p.md}").data == {
        "a": {"prompt": "deep"},
        "b": {"prompt": "here"},
    }


def test_an_item_of_a_list_is_no_text(files: Files) -> None:
    assert files.read("a: [file:///etc/passwd]").data == {"a": ["file:///etc/passwd"]}


def test_every_text_that_cannot_be_used_is_told(files: Files) -> None:
    files.write("secret: 1", "other.yml")
    (files.folder / "link.md").symlink_to(files.folder / "other.yml")
    told = files.refused("""
        a: file://nowhere.md
        b:
          - c: file://other.yml
        d: file://link.md
        e: file://w
    """).splitlines()
    suffixes = ".j2, .jinja, .jinja2, .md, .prompt, .template, .tpl, .txt"
    assert told == [
        f"w.yml:1: a: there is no file {files.folder / 'nowhere.md'}.",
        f"w.yml:3: b[0].c: file:// reads texts only ({suffixes}), not .yml.",
        f"w.yml:4: d: file:// reads texts only ({suffixes}), not .yml.",
        f"w.yml:5: e: file:// reads texts only ({suffixes}), not this file.",
    ]


def test_a_file_tells_what_it_was_made_of(files: Files) -> None:
    files.write("a: 1", "base.yml")
    files.write("text", "p.md")
    read = files.read("base: base.yml\nb: file://p.md")
    assert [path.name for path in read.files] == ["w.yml", "p.md", "base.yml"]
    assert all(path.is_absolute() for path in read.files)


# --- overrides ----------------------------------------------------------------------------------

TREE = """
    llms:
      main: {model_name: m, temperature: 0.5, stop: [a], stream: true, nothing: null}
    endpoints:
      - path: /a
"""


@pytest.mark.parametrize(
    ("key", "value", "means"),
    [
        ("llms.main.temperature", "0", 0),
        ("llms.main.temperature", "1e-3", "1e-3"),
        ("llms.main.temperature", "-1.5", -1.5),
        ("llms.main.stream", "false", False),
        ("llms.main.stream", "null", None),
        ("llms.main.model_name", "4", "4"),
        ("llms.main.model_name", "a: b", "a: b"),
        ("llms.main.model_name", "*x", "*x"),
        ("llms.main.model_name", "", ""),
        ("llms.main.stop", "x, y", ["x", "y"]),
        ("llms.main.stop", '["x", 1]', ["x", 1]),
        ("llms.main.nothing", "4", 4),
        ("llms.main.nothing", "'4'", "4"),
        ("llms.main.new", '{"a": [1, null]}', {"a": [1, None]}),
        ("llms.other.deep.er", "1", 1),
        ("endpoints.0.path", "/b", "/b"),
        ("endpoints.0", '{"path": "/c"}', {"path": "/c"}),
        ("llms.main", "${NOT_READ}", "${NOT_READ}"),
    ],
)
def test_an_override_puts_in_a_value(files: Files, key: str, value: str, means: object) -> None:
    read = files.read(TREE, (key, value))
    keys = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
    assert read.root.at(keys).data() == means
    assert str(read.place(keys)) == "--override"


def test_the_last_override_counts(files: Files) -> None:
    read = files.read(TREE, ("llms.main.seed", "1"), ("llms.main.seed", "2"))
    assert read.root.at(("llms", "main", "seed")).value == 2


def test_everything_else_stays_where_it_was(files: Files) -> None:
    read = files.read(TREE, ("llms.main.seed", "1"))
    assert str(read.place(("llms", "main", "stop"))) == "w.yml:2"


def test_every_override_that_cannot_be_is_told(files: Files) -> None:
    told = files.refused(
        TREE,
        ("llms..main", "1"),
        ("llms.main.model_name.deep", "1"),
        ("endpoints.1.path", "1"),
        ("endpoints.a", "1"),
        ("llms.main.stop", "[hush"),
    ).splitlines()
    assert told == [
        "--override: 'llms..main' is no path such as llms.main.temperature.",
        "--override: llms.main.model_name: is no mapping, so that it can have no 'deep'.",
        "--override: endpoints: is a list of 1: there is no '1'.",
        "--override: endpoints: is a list of 1: there is no 'a'.",
        "--override: llms.main.stop: the value begins like JSON, but cannot be read as it.",
    ]


def test_the_place_of_a_file_elsewhere_is_its_path(tmp_path: Path) -> None:
    path = tmp_path / "w.yml"
    path.write_text("a: 1\n")
    assert str(read_workflow(path, {}).place(("a",))) == f"{path}:1"


# --- beside the loader that everybody knows -----------------------------------------------------

_KEYS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
# PyYAML itself does not read back every line separator that it writes.
_TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5), st.booleans())
def test_a_tree_has_what_pyyaml_reads(data: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    assert parse(text, "w.yml").data() == yaml.safe_load(text)


@settings(deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5), st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_a_mapping_on_another_has_all_keys_and_the_values_of_the_upper(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    trees = [parse(yaml.safe_dump(each), "w.yml") for each in (below, above)]
    both = merged(*trees).data()
    assert isinstance(both, dict)
    assert set(both) == {*below, *above}
    for key, value in above.items():
        if not (isinstance(value, dict) and isinstance(below.get(key), dict)):
            assert both[key] == value
