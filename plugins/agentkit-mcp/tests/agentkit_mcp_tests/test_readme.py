"""The page of the package says what the code does."""

from pathlib import Path

import agentkit_mcp

from agentkit.config.describe import fill_options


def test_the_tables_of_options_are_those_of_the_config_classes() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert fill_options(page, agentkit_mcp) == page
