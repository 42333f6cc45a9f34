"""The page of the package says what the code does, and its configurations work."""

import re
import sys
from pathlib import Path
from types import ModuleType

import agentkit_guard
import pytest
from agentkit_guard import register_middleware

import agentkit
from agentkit.config.describe import fill_options
from agentkit.plugins import Plugins

PAGE = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
HEAD = "agent: {instructions: Be brief.}\nprovider: {use: local}\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_tables_of_options_are_those_of_the_config_classes() -> None:
    assert fill_options(PAGE, agentkit_guard) == PAGE


def test_every_guard_is_in_a_configuration_of_the_page_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checks,) = (block for block in blocks("python") if "def polite" in block)
    module = ModuleType("my_checks")
    exec(checks, module.__dict__)
    monkeypatch.setitem(sys.modules, "my_checks", module)
    shown: list[str] = []
    for block in blocks("yaml"):
        path = tmp_path / "agent.yaml"
        path.write_text(block if "agent:" in block else HEAD + block, encoding="utf-8")
        agent = agentkit.load(path, plugins=Plugins.from_modules({"guard": agentkit_guard}))
        assert agent.warnings == ()
        shown += [guard.name for guard in agent.guards]
    assert sorted(shown) == sorted(factory.name for factory in register_middleware())
