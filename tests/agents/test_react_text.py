"""How a reply of a model that thinks aloud is read: the shapes in which models write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.builtins.agents.react.text import Action, Final, Unclear, answer_start, parse

ACTIONS = {
    "as asked for": (
        'Thought: I need to look.\nAction: search\nAction Input: {"q": "cats"}',
        "search", '{"q": "cats"}',
    ),
    "without a thought": ("Action: search\nAction Input: cats", "search", "cats"),
    "on one line": ("Thought: x. Action: search Action Input: cats", "search", "cats"),
    "input for short": ("Action: search\nInput: cats", "search", "cats"),
    "numbered": ("Action 1: search\nAction Input 1: cats\nObservation 1: no", "search", "cats"),
    "bold labels": (
        '**Thought:** x\n**Action:** search\n**Action Input:** {"q": 1}', "search", '{"q": 1}',
    ),
    "bold before the colon": ("**Action**: search\n**Action Input**: cats", "search", "cats"),
    "name in backticks": ("Action: `search`\nAction Input: `cats`", "search", "`cats`"),
    "name in quotes": ('Action: "search"\nAction Input: "cats"', "search", '"cats"'),
    "name in brackets": ("Action: [search]\nAction Input: cats", "search", "cats"),
    "in capitals": ("ACTION: search\nACTION INPUT: cats", "search", "cats"),
    "in a list": ("- Thought: x\n- Action: search\n- Action Input: cats", "search", "cats"),
    "name on the next line": ("Action:\nsearch\nAction Input:\ncats", "search", "cats"),
    "a block of code": (
        'Action: search\nAction Input:\n```json\n{"q": "cats"}\n```',
        "search", '```json\n{"q": "cats"}\n```',
    ),
    "a block without a label": ("Action: search\n```\ncats\n```", "search", "```\ncats"),
    "an object without a label": ('Action: search\n{"q": "cats"}', "search", '{"q": "cats"}'),
    "as a call": ('Action: search("cats")', "search", '"cats"'),
    "as in the paper": ("Action: search[black cats]", "search", "black cats"),
    "without input": ("Thought: what time is it\nAction: current_datetime", "current_datetime", ""),
    "an imagined observation": (
        "Action: search\nAction Input: cats\nObservation: two\nThought: x\nFinal Answer: two",
        "search", "cats",
    ),
    "an imagined observation without input": (
        "Action: search\nObservation: two\nFinal Answer: two", "search", "",
    ),
    "imagined rounds": (
        "Action: search\nAction Input: cats\nThought: more\nAction: other\nAction Input: dogs",
        "search", "cats",
    ),
    "words that look like labels in JSON": (
        'Action: note\nAction Input: {"text": "a\nFinal Answer: b\nThought: c"}',
        "note", '{"text": "a\nFinal Answer: b\nThought: c"}',
    ),
    "words that look like labels in a line": (
        "Action: search\nAction Input: what does Final Answer: mean",
        "search", "what does Final Answer: mean",
    ),
    "more than JSON": (
        'Action: search\nAction Input: {"q": 1}\nI will wait.', "search", '{"q": 1}',
    ),
    "several lines": ("Action: note\nAction Input: one\ntwo\n\nthree", "note", "one\ntwo\n\nthree"),
    "thoughts of its own": (
        "<think>Action: no\nFinal Answer: no</think>\nAction: search\nAction Input: cats",
        "search", "cats",
    ),
    "half of its thoughts": ("hm</think>Action: search\nAction Input: cats", "search", "cats"),
    "an object with both": (
        '```json\n{"action": "search", "action_input": {"q": 1}}\n```', "search", '{"q": 1}',
    ),
    "wide colons": ("Action\uff1a search\nAction Input\uff1a cats", "search", "cats"),
    "a final answer in a thought": (
        "Thought: the final answer: not known yet\nAction: search\nAction Input: cats",
        "search", "cats",
    ),
}  # fmt: skip

ANSWERS = {
    "as asked for": ("Thought: I know it.\nFinal Answer: It is 5.", "It is 5.", True),
    "alone": ("Final Answer: 5", "5", True),
    "in one line with the thought": ("Thought: easy. Final Answer: 5", "5", True),
    "any case": ("thought: x\nfinal answer: 5", "5", True),
    "bold label": ("**Final Answer:** 5", "5", True),
    "bold before the colon": ("**Final Answer**: 5", "5", True),
    "bold answer": ("Final Answer: **5**", "**5**", True),
    "bold both": ("**Final Answer:** **5**", "**5**", True),
    "a heading": ("Some thoughts.\n\n## Final Answer\n\nIt is 5.", "It is 5.", True),
    "a bold heading": ("**Final Answer**\nIt is 5.", "It is 5.", True),
    "several lines": ("Final Answer:\n- one\n- two\n\nBye.", "- one\n- two\n\nBye.", True),
    "no action": ("Thought: x\nAction: None\nAction Input: None\nFinal Answer: 5", "5", True),
    "no action needed": ("Action: None needed\nFinal Answer: 5", "5", True),
    "the answer as an action": ("Action: Final Answer\nAction Input: 5", "5", False),
    "the answer as an object": ('{"action": "Final Answer", "action_input": "5"}', "5", False),
    "after thoughts of its own": ("<think>Final Answer: 4</think>\nFinal Answer: 5", "5", True),
    "no form at all": ("Hello! How can I help?", "Hello! How can I help?", False),
    "no form after thoughts": ("<think>They greet.</think>\n\nHello!", "Hello!", False),
    "and then more": ("Final Answer: 5\nAction: search\nAction Input: x",
                      "5\nAction: search\nAction Input: x", True),
    "finality": ("Finally, the original answer is 5.", "Finally, the original answer is 5.", False),
}  # fmt: skip


@pytest.mark.parametrize(("text", "tool", "input"), ACTIONS.values(), ids=ACTIONS)
def test_an_action_is_found(text: str, tool: str, input: str) -> None:
    found = parse(text)
    assert isinstance(found, Action)
    assert (found.tool, found.input) == (tool, input)
    assert answer_start(text) is None


@pytest.mark.parametrize(("text", "answer", "is_marked"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_found(text: str, answer: str, is_marked: bool) -> None:
    assert parse(text) == Final(answer, is_marked)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "There is no text"),
        ("   \n", "There is no text"),
        ("<think>still thinking", "There is no text"),
        ("Thought: I wonder.", "neither an action nor a final answer"),
        ("Thought: x\nAction: none", "neither an action nor a final answer"),
        ("Thought: x\nFinal Answer:", "The final answer is empty"),
    ],
)
def test_what_is_unclear_is_told(text: str, problem: str) -> None:
    with pytest.raises(Unclear, match=problem):
        parse(text)


@pytest.mark.parametrize(
    "text", [case[0] for case in (*ACTIONS.values(), *ANSWERS.values())], ids=[*ACTIONS, *ANSWERS]
)
def test_more_text_does_not_change_where_the_answer_begins(text: str) -> None:
    starts = [answer_start(text[:length]) for length in range(len(text) + 1)]
    found = [start for start in starts if start is not None]
    assert set(found) <= {answer_start(text)}


_LABELS = [
    "Thought:", "Action:", "Action Input:", "Final Answer:", "**Final Answer:**", "## Final Answer",
    "Observation:",
]  # fmt: skip
_PARTS = st.sampled_from([*_LABELS, *'* \n{}"x.', "**", "<think>", "</think>", "none", "```"])


@given(st.lists(_PARTS, max_size=14).map("".join))
def test_whatever_is_written_the_start_is_certain_and_the_reading_agrees(text: str) -> None:
    starts = {answer_start(text[:length]) for length in range(len(text) + 1)} - {None}
    assert len(starts) <= 1
    start = answer_start(text)
    assert not starts or starts == {start}
    try:
        found = parse(text)
    except Unclear:
        assert start is None
    else:
        assert (start is not None) == (isinstance(found, Final) and found.is_marked)
