"""The plugin as agentkit sees it."""

import inspect
import re
import stat
from pathlib import Path

import agentkit_observe
import msgspec
import pytest
from agentkit_observe import register_middleware

import agentkit
from agentkit import Factory, Middleware
from agentkit.plugins import Plugins

NAMES = ("otel", "recorder", "transcript", "watchdog")
README = Path(__file__).parents[1] / "README.md"


def test_every_middleware_is_registered() -> None:
    assert Plugins.from_modules({"observe": agentkit_observe}, builtin=False).names("middleware") == NAMES


@pytest.mark.parametrize("item", list(register_middleware()), ids=lambda item: item.name)
def test_every_middleware_can_be_made_without_options(item: Factory[Middleware]) -> None:
    assert item.make(None).hooks()


@pytest.mark.parametrize("item", list(register_middleware()), ids=lambda item: item.name)
def test_every_option_has_its_documentation_in_the_code_and_in_the_readme(item: Factory[Middleware]) -> None:
    assert item.config is not None
    source = inspect.getsource(item.config)
    section = README.read_text(encoding="utf-8").split(f"## `{item.name}`", 1)[1].split("\n## ", 1)[0]
    for field in msgspec.structs.fields(item.config):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""')
        assert f"| `{field.name}` |" in section


def test_the_readmes_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```yaml\n(version: 1\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "agent.yaml").write_text(block, encoding="utf-8")
    plugins = Plugins.from_modules({"observe": agentkit_observe})
    agent = agentkit.load(tmp_path / "agent.yaml", plugins=plugins)
    assert agent is not None


def test_the_package_says_that_it_is_typed() -> None:
    assert stat.S_ISREG((Path(agentkit_observe.__file__).parent / "py.typed").stat().st_mode)
