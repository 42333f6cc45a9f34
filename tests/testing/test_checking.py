"""What a plugin's author is told."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import agentkit_basics
import pytest

import agentkit.builtin
from agentkit.testing import check_plugin

Load = Callable[[str], ModuleType]
HEAD = '''"""A plugin."""

from msgspec import Struct

from agentkit import Factory, LazyCommand, Middleware, Preset, Provider, Tool, hookimpl, tool
'''


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a module, and import it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    count = 0

    def load(source: str) -> ModuleType:
        nonlocal count
        count += 1
        name = f"agentkit_checked_{tmp_path.name.replace('-', '_')}_{count}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = __import__(name)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


def told(module: ModuleType) -> list[tuple[str, str]]:
    return [(finding.what, finding.where) for finding in check_plugin(module)]


GOOD = (
    HEAD
    + '''

class Config(Struct, frozen=True, kw_only=True):
    words: tuple[str, ...] = ()
    """The words."""


class Layer(Middleware):
    """Let everything pass."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def wrap_tool_call(self, call, call_next):
        return await call_next(call)


@tool
def tide(port: str) -> str:
    """Tell the tide.

    Args:
        port: The port's name.
    """
    return port


@hookimpl
def register_tools():
    return [tide]


@hookimpl
def register_middleware():
    return [Factory("quiet", Layer, Config, "Lets everything pass.")]


@hookimpl
def register_presets():
    return [Preset("short", {"agent": {"instructions": "Be brief."}}, "Short answers.")]
'''
)


def test_a_plugin_that_is_as_it_should_be_has_no_findings(load: Load) -> None:
    assert check_plugin(load(GOOD)) == []


def test_our_own_plugin_of_everyday_tools_has_no_findings() -> None:
    assert check_plugin(agentkit_basics) == []


def test_the_builtin_plugin_may_have_its_own_names() -> None:
    assert [finding for finding in check_plugin(agentkit.builtin) if finding.what == "name"] == []


def test_a_misspelt_hook_is_the_one_finding(load: Load) -> None:
    (finding,) = check_plugin(load(HEAD + "\n\n@hookimpl\ndef register_tool():\n    return []\n"))
    assert finding.what == "hooks"
    assert "did you mean `register_tools`?" in str(finding)


def test_a_hook_that_raises_is_the_one_finding(load: Load) -> None:
    (finding,) = check_plugin(load(hook("tools", "1 / 0")))
    assert (finding.what, finding.message) == ("hooks", "a hook raised ZeroDivisionError: division by zero")


def hook(kind: str, items: str, before: str = "") -> str:
    return f"{HEAD}\n{before}\n\n@hookimpl\ndef register_{kind}():\n    return [{items}]\n"


SHARED = '''
@tool
def t(a: list[int] = []) -> str:
    """Do.

    Args:
        a: All of them.
    """
    return str(a)
'''


@pytest.mark.parametrize(
    "source, expected",
    [
        (hook("tools", "t", "@tool\ndef t() -> str:\n    return ''"), ("docs", "tool t")),
        (hook("tools", "t", '@tool\ndef t(a: str) -> str:\n    """Do."""\n    return a'), ("docs", "tool t")),
        (
            hook("tools", "t", '@tool(name="Not_This")\ndef t() -> str:\n    """Do."""\n    return ""'),
            ("name", "tool Not_This"),
        ),
        (
            hook("tools", "t", SHARED),
            ("defaults", "tool t"),
        ),
        (hook("middleware", 'Factory("m", lambda: 5, None, "M.")'), ("build", "middleware m")),
        (hook("middleware", 'Factory("m", lambda: 1 / 0, None, "M.")'), ("build", "middleware m")),
        (hook("responders", 'Factory("r", lambda: 5)'), ("docs", "responder r")),
        (
            hook("tools", 'Factory("f", lambda: t, None, "F.")', "@tool\ndef t() -> str:\n    return ''"),
            ("docs", "tool f"),
        ),
        (hook("providers", 'Factory("local", lambda: 1 / 0, None, "P.")'), ("name", "provider local")),
        (
            hook("tools", 'Factory("t", lambda c: 1, C, "T.")', "class C(Struct, frozen=True):\n    a: int"),
            ("docs", "tool t, option a"),
        ),
        (
            hook(
                "providers",
                'Factory("p", lambda c: 1, C, "P.")',
                'class C(Struct, frozen=True):\n    a: object = lambda: 1\n    """A."""',
            ),
            ("defaults", "provider p, option a"),
        ),
        (hook("presets", 'Preset("p", "agent: {nam: x}", "P.")'), ("preset", "preset p")),
        (hook("presets", 'Preset("p", {"agent": {"name": "x"}})'), ("docs", "preset p")),
        (hook("commands", 'LazyCommand("c", "C.", "nowhere.at_all:command")'), ("command", "command c")),
        (hook("commands", 'LazyCommand("c", "C.", "json:dumps")'), ("command", "command c")),
    ],
)
def test_what_its_author_should_mend_is_found(load: Load, source: str, expected: tuple[str, str]) -> None:
    assert told(load(source)) == [expected]


def test_a_module_without_a_docstring_is_found(load: Load) -> None:
    module = load(GOOD.removeprefix('"""A plugin."""\n'))
    assert told(module) == [("docs", module.__name__)]


@pytest.mark.parametrize("line", ["print('hello')", "import sys; sys.stderr.write('hello')"])
def test_what_its_import_writes_is_found(load: Load, capsys: pytest.CaptureFixture[str], line: str) -> None:
    (finding,) = check_plugin(load(f"{GOOD}\n{line}\n"))
    assert finding.what == "import"
    assert "writes to the terminal: hello" in finding.message


def test_a_module_that_only_this_process_can_import_is_found(load: Load, tmp_path: Path) -> None:
    module = load(GOOD)
    (tmp_path / f"{module.__name__}.py").write_text("raise RuntimeError('no luck')\n")
    messages = [finding.message for finding in check_plugin(module) if finding.what == "import"]
    assert messages == ["a new process cannot import it: RuntimeError: no luck"]


def test_a_preset_may_need_what_others_bring(load: Load) -> None:
    preset = 'Preset("p", {"provider": {"use": "acme", "with": {"key": "${ACME_KEY}"}}}, "P.")'
    assert check_plugin(load(hook("presets", preset))) == []


def test_an_object_with_hooks_can_be_checked_too() -> None:
    class Plugin:
        @agentkit.hookimpl
        def register_presets(self) -> list[agentkit.Preset]:
            return [agentkit.Preset("p", {}, "")]

    assert [finding.where for finding in check_plugin(Plugin())] == ["preset p"]
