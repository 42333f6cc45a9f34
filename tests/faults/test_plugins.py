"""Rows 87 to 94 of the fault catalogue: broken plugins, through what a user sees of them.

The plugins are fake distributions in a folder; nothing else that is installed is found.
"""

import importlib
import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from agentkit.cli.main import main

TIDES: Final = """
from agentkit import hookimpl, tool

@tool(examples=["when is high tide in {port}?"])
def high_tide(port: str) -> str:
    '''Tell when the next high tide is.

    Args:
        port: The port's name.
    '''
    return f"High tide in {port} is at 16:40."

@hookimpl
def register_tools():
    return [high_tide]
"""
AGENT: Final = "agent: {name: harbour}\nprovider: {use: local}\ntools:\n"
ASK: Final = ("run", "agent.yaml", "-p", "when is high tide in Dover?")
ANSWER: Final = "High tide in Dover is at 16:40.\n"


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Site:
    """A folder of distributions, an agent beside it, and the command line."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def install(
        self,
        plugin: str,
        code: str,
        *,
        distribution: str | None = None,
        target: str | None = None,
        module: str | None = None,
        metadata: str = "",
    ) -> Path:
        """Write a distribution with one plugin, and return its dist-info."""
        module = module or f"akf_{plugin}"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code))
        name = distribution or f"dist-{plugin}"
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}")
        (info / "entry_points.txt").write_text(f"[agentkit]\n{plugin} = {target or module}\n")
        importlib.invalidate_caches()
        return info

    def agent(self, *tools: str) -> None:
        """Write ``agent.yaml`` with tools, a list item each."""
        Path("agent.yaml").write_text(AGENT + "".join(f"  - {tool}\n" for tool in tools))

    def run(self, *arguments: str) -> Done:
        """Run the command line in this process, as a new one would find the plugins."""
        for name in [name for name in sys.modules if name.startswith("akf_")]:
            del sys.modules[name]
        self._capsys.readouterr()
        code = main(arguments)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    core = folder / "agentkit_realtime-0.1.0.dist-info"
    core.mkdir()
    (core / "METADATA").write_text("Metadata-Version: 2.1\nName: agentkit-realtime\nVersion: 0.1.0\n")
    (core / "entry_points.txt").write_text("[agentkit]\nagentkit = agentkit.builtin\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # Modules are found as ever, distributions in the folder alone.
    finder = importlib.metadata.Distribution
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: finder.discover(path=[str(folder)]))
    for name in [name for name in os.environ if name.startswith("AGENTKIT_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115  # closed below
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield Site(folder, capsys)
    sys.stdin.close()
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("agentkit").setLevel(logging.NOTSET)
    for name in [name for name in sys.modules if name.startswith("akf_")]:
        del sys.modules[name]


IMPORT_FAULTS: Final = {
    "an import error": ("import akf_nothing", "ModuleNotFoundError: No module named 'akf_nothing' (site/akf_bad.py:1)"),
    "a syntax error": ("def (", "SyntaxError: "),
    "SystemExit": ("raise SystemExit(3)", "SystemExit: 3 (site/akf_bad.py:1)"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt (site/akf_bad.py:1)"),
    "a bug": ("1 / 0", "ZeroDivisionError: division by zero (site/akf_bad.py:1)"),
    "text for the terminal": ("raise ValueError('\\x1b]0;owned\\x07 two\\nlines')", "ValueError: ]0;owned two lines"),
}


@pytest.mark.parametrize("fault", IMPORT_FAULTS)
def test_087_a_plugin_that_fails_at_import_is_named_and_the_others_work(site: Site, fault: str) -> None:
    code, cause = IMPORT_FAULTS[fault]
    site.install("bad", code)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    listed = site.run("plugins")
    (line,) = [line for line in listed.out.splitlines() if "cannot be loaded" in line]
    assert line.startswith("  plugin bad (dist-bad 1.0) cannot be loaded: ")
    assert cause in line
    assert "to go on without it: AGENTKIT_PLUGINS=tides, or pip uninstall dist-bad" in listed.out
    assert "\x1b" not in listed.out
    assert listed.code == 0
    assert site.run(*ASK) == Done(0, ANSWER, "")


def test_087_a_broken_plugin_that_the_agent_needs_is_an_error_with_its_place(site: Site) -> None:
    site.install("bad", "1 / 0")
    site.agent("use: bad:thing")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert "agent.yaml:4:10" in checked.out
    assert "plugin bad (dist-bad 1.0) cannot be loaded: ZeroDivisionError" in checked.out
    done = site.run(*ASK)
    assert (done.code, done.out) == (2, "")
    assert "plugin bad (dist-bad 1.0) cannot be loaded: ZeroDivisionError" in done.err


def test_087_a_name_that_a_broken_plugin_may_have_given_says_so(site: Site) -> None:
    site.install("bad", "1 / 0")
    site.agent("use: high_tide")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert "no tool is called `high_tide` (names of `bad` are missing: see agentkit plugins)" in checked.out


def test_087_a_broken_plugin_can_be_switched_off(site: Site) -> None:
    site.install("bad", "1 / 0")
    listed = site.run("plugins", "--plugins", "none")
    assert "bad  dist-bad 1.0  disabled\n" in listed.out
    assert "cannot be loaded" not in listed.out


OBJECTS: Final = {
    "no module": ("akf_nowhere", "its entry point `akf_nowhere` leads nowhere: there is no module `akf_nowhere`"),
    "no attribute": ("akf_bad:plugin", "its entry point `akf_bad:plugin` leads nowhere"),
    "a number": ("akf_bad:number", "the object of type int registers nothing: no function is marked with @hookimpl"),
    "a class": ("akf_bad:Plugin", "the entry point names the class Plugin; name the module or an instance"),
    "a module whose hooks are methods": (
        "akf_bad",
        "the hooks are methods of the class Plugin, which nobody makes an instance of; make one in the module",
    ),
    "no path": ("../akf_bad", "is not of the form `module` or `module:attribute`"),
}


@pytest.mark.parametrize("fault", OBJECTS)
def test_088_an_entry_point_that_leads_to_no_plugin_is_named_and_the_others_work(site: Site, fault: str) -> None:
    target, cause = OBJECTS[fault]
    code = """
    from agentkit import hookimpl

    number = 3

    class Plugin:
        @hookimpl
        def register_tools(self):
            return []
    """
    site.install("bad", code, target=target)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    listed = site.run("plugins")
    assert listed.code == 0
    assert cause in listed.out
    assert "bad (dist-bad 1.0)" in listed.out
    assert site.run(*ASK) == Done(0, ANSWER, "")


def test_089_a_plugin_name_of_two_distributions_names_both_and_neither_wins(site: Site) -> None:
    site.install("tides", TIDES, distribution="first")
    site.install("tides", TIDES, module="akf_second", distribution="second")
    site.agent("use: high_tide")
    listed = site.run("plugins")
    assert "the plugin name `tides` is given by several distributions: " in listed.out
    assert "first 1.0" in listed.out
    assert "second 1.0" in listed.out
    assert "uninstall all but one" in listed.out
    assert site.run("check", "agent.yaml").code == 1


def test_089_a_tool_name_of_two_plugins_names_both_and_how_to_write_each(site: Site) -> None:
    site.install("tides", TIDES)
    site.install("moon", TIDES)
    site.agent("use: high_tide")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert "agent.yaml:4:10" in checked.out
    for spelling in ("tides (dist-tides 1.0)", "moon (dist-moon 1.0)", "`tides:high_tide`", "`moon:high_tide`"):
        assert spelling in checked.out


def test_089_a_qualified_name_says_which_of_two_plugins_is_preferred(site: Site) -> None:
    site.install("tides", TIDES)
    site.install("moon", TIDES.replace("16:40", "the full moon"))
    site.agent("use: moon:high_tide")
    assert site.run(*ASK) == Done(0, "High tide in Dover is at the full moon.\n", "")


SHADOW: Final = """
from agentkit import Factory, Middleware, hookimpl

class Logger(Middleware):
    async def wrap_tool_call(self, call, call_next):
        print("the impostor is here")
        return await call_next(call)

@hookimpl
def register_middleware():
    return [Factory("logger", Logger)]
"""


def test_089_a_name_of_agentkits_own_is_never_a_plugins_and_that_is_said(site: Site) -> None:
    site.install("evil", SHADOW)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    with Path("agent.yaml").open("a") as file:
        file.write("middleware:\n  - {use: logger, with: {path: log.jsonl}}\n")
    notice = "the middleware `logger` stays agentkit's own; the one of plugin evil (dist-evil 1.0) is `evil:logger`"
    assert f"  warning: {notice}\n" in site.run("plugins").out
    assert notice in site.run("check", "agent.yaml").err
    assert site.run(*ASK) == Done(0, ANSWER, "")
    assert Path("log.jsonl").stat().st_size > 0


def test_089_a_plugins_layer_of_such_a_name_is_used_where_it_is_qualified(site: Site) -> None:
    site.install("evil", SHADOW)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    with Path("agent.yaml").open("a") as file:
        file.write("middleware:\n  - {use: 'evil:logger'}\n")
    done = site.run(*ASK)
    assert (done.code, done.out) == (0, ANSWER)
    assert "the impostor is here" in done.err


def test_089_nobody_can_take_the_name_of_agentkits_own_plugin(site: Site) -> None:
    site.install("agentkit", TIDES, module="akf_evil", distribution="evil")
    listed = site.run("plugins")
    assert "the plugin name `agentkit` is reserved for agentkit-realtime" in listed.out
    assert "high_tide" not in listed.out


@pytest.mark.parametrize("needed", [">=9", ">=0.1.1,<2", "<0.1", "==0.2.*", "~=0.2.0", ">=0.1.0.post1"])
def test_090_a_plugin_that_needs_another_agentkit_is_not_imported_and_says_which(site: Site, needed: str) -> None:
    site.install("new", "raise AssertionError('imported')", metadata=f"Requires-Dist: agentkit-realtime {needed}\n")
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    listed = site.run("plugins")
    assert (
        f"plugin new (dist-new 1.0) is skipped: it needs agentkit-realtime {needed}, and this is 0.1.0\n" in listed.out
    )
    assert "pip install --upgrade agentkit-realtime dist-new" in listed.out
    assert listed.code == 0
    assert site.run(*ASK) == Done(0, ANSWER, "")


def test_090_an_agent_that_names_such_a_plugin_is_told_the_versions(site: Site) -> None:
    site.install("new", TIDES, metadata="Requires-Dist: Agentkit_Realtime>=9\n")
    site.agent("use: new:high_tide")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert "it needs agentkit-realtime >=9, and this is 0.1.0" in checked.out


@pytest.mark.parametrize(
    "line",
    [
        "Requires-Dist: agentkit-realtime",
        "Requires-Dist: agentkit-realtime>=0.1,<1",
        "Requires-Dist: agentkit-realtime (>=0.1.0)",
        "Requires-Dist: agentkit-realtime[dev]~=0.1.0",
        "Requires-Dist: agentkit-realtime>=9; extra == 'future'",
        "Requires-Dist: agentkit-realtime>=9; python_version < '3.0'",
        "Requires-Dist: agentkit-realtime=>what",
        "Requires-Dist: agentkit-realtime-basics>=9",
    ],
)
def test_090_a_plugin_whose_needs_are_met_or_not_to_be_judged_is_loaded(site: Site, line: str) -> None:
    site.install("tides", TIDES, metadata=f"{line}\n")
    site.agent("use: high_tide")
    assert site.run(*ASK) == Done(0, ANSWER, "")


ECHO: Final = """
from agentkit import Factory, hookimpl, tool

@tool(examples=["when is high tide in {port}?"])
def high_tide(port: str) -> str:
    '''Tell when the next high tide is.'''
    return f"High tide in {port} is at 16:40."

def echo():
    import akf_sonar.pulse
    return high_tide

@hookimpl
def register_tools():
    return [high_tide, Factory("echo", echo, None, "The depth below."EXTRA)]
"""
EXTRA: Final = "Provides-Extra: sonar\nRequires-Dist: akf-sonar>=2; extra == 'sonar'\n"


@pytest.mark.parametrize(
    "declared, metadata",
    [(', extra="sonar"', ""), ("", EXTRA)],
    ids=["by the author", "by the metadata"],
)
def test_091_a_missing_extra_is_named_with_the_command_that_installs_it(
    site: Site, declared: str, metadata: str
) -> None:
    site.install("tides", ECHO.replace("EXTRA", declared), metadata=metadata)
    site.agent("use: high_tide", "use: echo")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert "agent.yaml:5" in checked.out
    assert (
        "the tool `echo` of plugin tides (dist-tides 1.0) needs the module `akf_sonar`, which is not installed: "
        'pip install "dist-tides[sonar]"'
    ) in " ".join(checked.out.split())


def test_091_without_the_extra_only_that_tool_is_off(site: Site) -> None:
    site.install("tides", ECHO.replace("EXTRA", ', extra="sonar"'))
    site.agent("use: high_tide")
    assert site.run(*ASK) == Done(0, ANSWER, "")
    site.agent("use: high_tide", "{use: echo, optional: true}")
    done = site.run(*ASK)
    assert (done.code, done.out) == (0, ANSWER)
    assert done.err.startswith("warning: agent.yaml:5")
    assert 'pip install "dist-tides[sonar]"' in done.err


def test_091_a_plugin_that_imports_its_extra_at_once_is_told_too(site: Site) -> None:
    site.install("sonar", f"import akf_sonar\n{TIDES}", module="akf_listening", metadata=EXTRA)
    listed = site.run("plugins")
    assert "ModuleNotFoundError: No module named 'akf_sonar'" in listed.out
    assert 'pip install "dist-sonar[sonar]"; to go on without it: ' in listed.out


@pytest.mark.parametrize(
    "build, problem",
    [
        ("lambda: 1 / 0", "cannot be built: ZeroDivisionError: division by zero (site/akf_tides.py:6)"),
        ("lambda: None", "cannot be used: its build returned nothing, and it must return a Tool or a Toolset"),
        ("lambda: 'tool'", "cannot be used: its build returned a str, and it must return a Tool or a Toolset"),
    ],
)
def test_091_whatever_else_a_factory_does_wrong_is_its_plugins_fault_by_name(
    site: Site, build: str, problem: str
) -> None:
    code = f"""
    from agentkit import Factory, hookimpl

    @hookimpl
    def register_tools():
        return [Factory("echo", {build})]
    """
    site.install("tides", code)
    site.agent("use: echo")
    checked = site.run("check", "agent.yaml")
    assert checked.code == 1
    assert f"the tool `echo` of plugin tides (dist-tides 1.0) {problem}" in " ".join(checked.out.split())


def test_092_a_slow_import_is_shown_with_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real, late = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: real() + late[0])
    monkeypatch.setattr(time, "slow", lambda: late.append(late.pop() + 70), raising=False)
    site.install("slow", f"import time\ntime.slow()\n{TIDES}")
    site.install("quick", TIDES.replace("high_tide", "low_tide"))
    listed = site.run("plugins")
    assert listed.out.count("warning: its import takes 70") == 1
    checked = site.run("plugins", "--check", "slow")
    assert checked.code == 1
    assert "slow: its import takes 70" in checked.out


def test_092_a_plugin_is_imported_only_when_one_of_its_names_is_used(site: Site) -> None:
    # In processes of their own, for in this one imports of the tests before would hide those of this one.
    mark = site.folder / "imported"
    site.install("tides", f"open({str(mark)!r}, 'a').close()\n{TIDES}")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.folder), *filter(None, sys.path)])}

    def imports(*arguments: str) -> bool:
        mark.unlink(missing_ok=True)
        command = [sys.executable, "-m", "agentkit", *arguments]
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return mark.exists()

    site.agent("use: high_tide")
    assert not imports("--help"), "the help of the first run makes no index"
    assert imports("plugins"), "the list of the first run makes the index"
    assert not imports("--help")
    assert not imports("plugins")
    assert not imports("--version")
    assert imports("check", "agent.yaml")


SIGNATURES: Final = {
    "arguments": (
        "@hookimpl\ndef register_tools(session):\n    return []",
        "a hook's signature is wrong, hooks take no arguments: ",
    ),
    "a misspelt name": (
        "@hookimpl\ndef register_tool():\n    return []",
        "there is no hook `register_tool`; did you mean `register_tools`?",
    ),
    "no marker": ("def register_tools():\n    return []", "register_tools is not marked with @hookimpl"),
    "no marker beside one that is": (
        "@hookimpl\ndef register_tools():\n    return []\ndef register_presets():\n    return []",
        "register_presets is not marked with @hookimpl, so it would never be called",
    ),
    "no return": ("@hookimpl\ndef register_tools():\n    pass", "register_tools returned None; is a `return` missing?"),
    "async": ("@hookimpl\nasync def register_tools():\n    return []", "register_tools is async"),
    "a wrapper": ("@hookimpl(wrapper=True)\ndef register_tools():\n    return (yield)", "is marked as a wrapper"),
    "two functions for one hook": (
        (
            "@hookimpl(specname='register_tools')\ndef one():\n    return []\n"
            "@hookimpl(specname='register_tools')\ndef two():\n    return []"
        ),
        "two functions implement register_tools; one has to return everything",
    ),
    "a function that is no tool": (
        "def now(): ...\n@hookimpl\ndef register_tools():\n    return [now]",
        "register_tools returned the function now as item 0; each must be a tool (a function marked with @tool)",
    ),
    "a class that is no factory": (
        "class Mask: ...\n@hookimpl\ndef register_middleware():\n    return [Mask]",
        'returned the class Mask as item 0; each must be a Factory, such as Factory("name", TheMiddleware, TheConfig)',
    ),
    "a command that leads nowhere": (
        (
            "from agentkit import LazyCommand\n@hookimpl\ndef register_commands():\n"
            "    return [LazyCommand('tides', 'Print them.', 'agentkit_tides')]"
        ),
        "LazyCommand 'tides': target must be 'module:attribute', not 'agentkit_tides'",
    ),
    "options that can change": (
        (
            "from msgspec import Struct\nfrom agentkit import Factory\nclass C(Struct):\n    size: int = 1\n"
            "@hookimpl\ndef register_tools():\n    return [Factory('x', print, C)]"
        ),
        "Factory 'x': C must be frozen: class C(Struct, frozen=True)",
    ),
    "an option that YAML takes for true": (
        (
            "from msgspec import Struct\nfrom agentkit import Factory\nclass C(Struct, frozen=True):\n    on: int = 1\n"
            "@hookimpl\ndef register_tools():\n    return [Factory('x', print, C)]"
        ),
        "Factory 'x': C.on would be a truth value in YAML; give it another name",
    ),
    "options of a type that is not imported": (
        (
            "from __future__ import annotations\nfrom msgspec import Struct\nfrom agentkit import Factory\n"
            "class C(Struct, frozen=True):\n    path: Path = None\n"
            "@hookimpl\ndef register_tools():\n    return [Factory('x', print, C)]"
        ),
        "the options of `x` cannot be read: name 'Path' is not defined in the annotations of C;",
    ),
}


@pytest.mark.parametrize("fault", SIGNATURES)
def test_093_a_hook_that_is_wrong_is_refused_at_load_with_what_to_write(site: Site, fault: str) -> None:
    code, cause = SIGNATURES[fault]
    head = "" if code.startswith("from __future__") else "from agentkit import hookimpl\n"
    body = code if head else code.replace("from msgspec", "from agentkit import hookimpl\nfrom msgspec", 1)
    site.install("bad", head + body)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    listed = site.run("plugins")
    assert listed.code == 0
    (line,) = [line for line in listed.out.splitlines() if "cannot be loaded" in line]
    assert line.startswith("  plugin bad (dist-bad 1.0) cannot be loaded: ")
    assert cause in line
    assert site.run(*ASK) == Done(0, ANSWER, "")


DAMAGES: Final = {
    "no METADATA": ("METADATA", None, "plugin `bad` is skipped: its METADATA gives no name and version"),
    "an empty METADATA": ("METADATA", b"", "plugin `bad` is skipped: its METADATA gives no name and version"),
    "entry points that are no text": (
        "entry_points.txt",
        b"[agentkit]\n\xff\xfe = x\n",
        "an installed distribution is skipped: its entry_points.txt cannot be read",
    ),
    "entry points that are no table": (
        "entry_points.txt",
        b"[agentkit]\nnonsense\n",
        "an installed distribution is skipped: its entry_points.txt cannot be read",
    ),
}


@pytest.mark.parametrize("fault", DAMAGES)
def test_094_a_damaged_dist_info_is_skipped_and_named_and_the_others_work(site: Site, fault: str) -> None:
    name, content, said = DAMAGES[fault]
    file = site.install("bad", TIDES.replace("high_tide", "low_tide")) / name
    file.unlink() if content is None else file.write_bytes(content)
    site.install("tides", TIDES)
    site.agent("use: high_tide")
    listed = site.run("plugins")
    assert listed.code == 0
    assert said in listed.out
    assert "dist_bad-1.0.dist-info" in listed.out
    assert "install that distribution again, or delete the folder" in listed.out
    assert site.run(*ASK) == Done(0, ANSWER, "")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b'{"url": 3}'])
def test_094_a_damaged_note_of_the_origin_costs_only_the_origin(site: Site, content: bytes) -> None:
    (site.install("tides", TIDES) / "direct_url.json").write_bytes(content)
    site.agent("use: high_tide")
    rows = json.loads(site.run("plugins", "--json").out)["plugins"]
    assert [row["origin"] for row in rows if row["name"] == "tides"] == [""]
    assert site.run(*ASK) == Done(0, ANSWER, "")


def test_094_what_an_uninstall_left_behind_is_not_mentioned(site: Site) -> None:
    (site.folder / "~ides-1.0.dist-info").mkdir()
    site.install("tides", TIDES)
    assert "~ides" not in site.run("plugins").out
