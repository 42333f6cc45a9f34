"""What becomes of a server's results."""

import json

import pytest
from agentkit_mcp.content import NOTHING, text_of
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import CallToolResult, TextContent

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def result(*texts: str, structured: object = None) -> str:
    content = [TextContent(text=text) for text in texts]
    return text_of(CallToolResult(content=list(content), structured_content=structured))


def test_texts_are_joined_by_line_breaks() -> None:
    assert result("one", "two") == "one\ntwo"


def test_structured_content_without_text_is_json() -> None:
    assert json.loads(result(structured={"city": "Zürich", "days": [1, 2]})) == {"city": "Zürich", "days": [1, 2]}


def test_structured_content_that_says_more_than_the_text_follows_it() -> None:
    assert result("It is warm.", structured={"degrees": 21}) == 'It is warm.\n{"degrees": 21}'


@pytest.mark.parametrize(
    "texts,structured",
    [
        (('{"a": 1}',), {"a": 1}),
        (('{\n  "a": 1\n}',), {"a": 1}),
        (("5",), {"result": 5}),
        (("five",), {"result": "five"}),
        (("1", "2"), {"result": [1, 2]}),
        (("a", "b"), {"result": ["a", "b"]}),
    ],
)
def test_structured_content_that_the_text_says_already_is_not_repeated(
    texts: tuple[str, ...], structured: object
) -> None:
    assert result(*texts, structured=structured) == "\n".join(texts)


def test_a_result_without_content_says_so() -> None:
    assert result() == NOTHING


def test_a_text_of_ten_thousand_brackets_is_a_text() -> None:
    assert result("[" * 100_000, structured={"a": 1}).endswith('{"a": 1}')


@given(VALUES)
def test_every_structured_value_reaches_the_model_once(value: object) -> None:
    assert (
        result(json.dumps(value), structured={"data": value}).count(json.dumps({"data": value}, ensure_ascii=False))
        == 1
    )
    assert result(json.dumps(value), structured={"result": value}) == json.dumps(value)
