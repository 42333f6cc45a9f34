"""Docstrings in the usual styles give a summary and a description for each parameter."""

import subprocess
import sys

import docstring_parser
import pytest

from agentkit.tools.docs import Docs, read_docs

GOOGLE = """Get the weather.

    For one place.

    Args:
        city (str): The city, or
            a part of it.
        *days: How many.

    Returns:
        What the sky is like.
    """
NUMPY = """Get the weather.

    For one place.

    Parameters
    ----------
    city : str
        The city, or
        a part of it.
    days : int, optional
        How many.

    Returns
    -------
    str
        What the sky is like.
    """
SPHINX = """Get the weather.

    For one place.

    :param str city: The city, or
        a part of it.
    :param days: How many.
    :returns: What the sky is like.
    """
EPYDOC = """Get the weather.

    For one place.

    @param city: The city, or
        a part of it.
    @param days: How many.
    @return: What the sky is like.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX, EPYDOC], ids=["google", "numpy", "sphinx", "epydoc"])
def test_the_usual_styles_say_the_same(text: str) -> None:
    assert read_docs(text) == Docs(
        summary="Get the weather.\n\nFor one place.",
        parameters={"city": "The city, or a part of it.", "days": "How many."},
    )


def test_lines_of_a_paragraph_are_joined_and_those_of_a_list_are_not() -> None:
    assert read_docs("Get the\n    weather:\n    - sun\n    - rain").summary == "Get the weather:\n- sun\n- rain"


def test_a_parameter_without_a_description_has_none() -> None:
    assert read_docs("Go.\n\n:param city:\n:param days: How many.").parameters == {"days": "How many."}


def test_no_docstring_says_nothing() -> None:
    assert read_docs(None) == Docs()


def test_a_single_line_may_be_a_field() -> None:
    assert read_docs(":param city: The city.").parameters == {"city": "The city."}


def test_a_docstring_that_cannot_be_parsed_gives_its_first_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> None:
        raise docstring_parser.ParseError(text)

    monkeypatch.setattr(docstring_parser, "parse", fail)
    assert read_docs("One.\n\nTwo.") == Docs(summary="One.")


def test_importing_tools_and_making_one_loads_nothing_heavy() -> None:
    code = """
import sys
from agentkit.tools import tool
@tool
def f(a: int) -> None:
    '''Do.

    Args:
        a: What.
    '''
heavy = {'docstring_parser', 'pydantic', 'numpy', 'anyio', 'asyncio', 'trio'}
print(sorted(heavy & set(sys.modules)), f.description, 'docstring_parser' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] Do. True\n"
