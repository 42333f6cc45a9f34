import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def test_the_core_and_what_it_brings_are_listed(run: Callable[..., Done]) -> None:
    done = run("plugins", "--plugins", "none")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("agentkit  agentkit-realtime ")
    assert "  providers: compatible, local, openai\n" in done.stdout


def test_json_is_one_document(run: Callable[..., Done]) -> None:
    told = json.loads(run("plugins", "--json").stdout)
    assert told["v"] == 1
    assert told["plugins"][0]["name"] == "agentkit"
    assert "logger" in told["plugins"][0]["registers"]["middleware"]


def test_time_imports_each_anew_the_slowest_first(run: Callable[..., Done]) -> None:
    shown = [line for line in run("plugins", "--time").stdout.splitlines() if not line.startswith(" ")]
    assert shown
    assert all(line.endswith(" ms") for line in shown)
    rows = json.loads(run("plugins", "--time", "--json").stdout)["plugins"]
    times = [row["import_ms"] for row in rows]
    assert all(took > 0 for took in times)
    assert times == sorted(times, reverse=True)


def test_time_measures_what_a_plugin_imports_and_skips_what_cannot_be(
    run: Callable[..., Done], broken: dict[str, str]
) -> None:
    rows = json.loads(run("plugins", "--time", "--json", env=broken).stdout)["plugins"]
    assert [row["import_ms"] for row in rows if row["name"] == "broken"] == [None]
    off = run("plugins", "--time", "--plugins", "none", env=broken).stdout
    assert "  disabled\n" in off


def test_a_broken_plugin_can_be_made_to_end_the_command(run: Callable[..., Done], broken: dict[str, str]) -> None:
    assert run("tools", env=broken).returncode == 0
    done = run("tools", "--strict-plugins", env=broken)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no luck today" in done.stderr


@pytest.fixture
def broken(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """Variables under which a plugin is installed that fails at import."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "broken_plugin.py").write_text("raise RuntimeError('no luck today')\n")
    info = site / "broken_plugin-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[agentkit]\nbroken = broken_plugin\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))}


def test_a_broken_plugin_is_named_with_its_reason(run: Callable[..., Done], broken: dict[str, str]) -> None:
    done = run("plugins", env=broken)
    assert done.returncode == 0
    assert "broken  broken-plugin 0.1  failed\n" in done.stdout
    assert "RuntimeError: no luck today" in done.stdout
    assert "to go on without it" in done.stdout


def test_a_broken_plugin_does_not_stop_an_agent(run: Callable[..., Done], broken: dict[str, str]) -> None:
    done = run("run", "-p", "add 2 and 3", env=broken)
    assert (done.returncode, done.stdout) == (0, "5\n")


AUTHOR = '''
"""Tides."""

import sys

from msgspec import Struct

from agentkit import Factory, LazyCommand, Middleware, hookimpl, tool

print("ready to serve")


class TallyConfig(Struct, frozen=True, kw_only=True):
    path: str | None
    """Where to count."""
    every: int = 1


class Tally(Middleware):
    def __init__(self, config):
        self.config = config

    async def wrap_tool_call(self, call, call_next):
        return await call_next(call)


class Idle(Middleware):
    """Does nothing."""


@tool
def high_tide(port: str) -> str:
    return port


@hookimpl
def register_tools():
    return [high_tide]


@hookimpl
def register_middleware():
    return [Factory("tally", Tally, TallyConfig, "Counts the calls."), Factory("idle", Idle, None, "Waits.")]


@hookimpl
def register_commands():
    return [LazyCommand("run", "Run the tides.", "tides_plugin:nothing")]


def register_preset():
    return []
'''


@pytest.fixture
def author(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """Variables under which a plugin is installed that works and has much to mend."""
    site = tmp_path / "author"
    site.mkdir()
    (site / "tides_plugin.py").write_text(AUTHOR)
    info = site / "tides_plugin-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tides-plugin\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[agentkit]\ntides = tides_plugin\n")
    (info / "direct_url.json").write_text('{"url": "file:///src/tides", "dir_info": {"editable": true}}')
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))}


def test_the_list_says_where_a_plugin_comes_from(run: Callable[..., Done], author: dict[str, str]) -> None:
    told = run("plugins", env=author).stdout
    assert "tides  tides-plugin 0.1\n  from: /src/tides (editable)\n  tools: high_tide\n" in told


def test_one_plugin_is_shown_with_its_options_in_words(run: Callable[..., Done], author: dict[str, str]) -> None:
    done = run("plugins", "tides", env=author)
    assert done.returncode == 0
    assert (
        "middleware\n"
        "  idle  Waits.\n"
        "  tally  Counts the calls.\n"
        "    path: a text; required\n"
        "      Where to count.\n"
        "    every: a whole number; default 1\n"
        "commands\n"
        "  run  Run the tides.\n"
    ) in done.stdout


def test_one_plugin_as_json_has_its_options_too(run: Callable[..., Done], author: dict[str, str]) -> None:
    told = json.loads(run("plugins", "tides", "--json", env=author).stdout)
    assert told["plugin"]["origin"] == "/src/tides (editable)"
    assert told["brings"]["middleware"][1]["options"][1] == {
        "name": "every",
        "type": "a whole number",
        "required": False,
        "default": "1",
        "description": "",
    }


def test_the_options_of_a_plugin_are_printed_for_its_readme(run: Callable[..., Done], author: dict[str, str]) -> None:
    assert run("plugins", "tides", "--options", env=author).stdout == (
        "<!-- options: tally -->\n\n"
        "| option | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `path` | a text | required | Where to count. |\n"
        "| `every` | a whole number | `1` |  |\n"
        "\n<!-- /options -->\n"
    )


@pytest.mark.parametrize("arguments", [("tide",), ("--check", "tide"), ("tide", "--options")])
def test_a_plugin_that_is_not_there_is_bad_usage(
    run: Callable[..., Done], author: dict[str, str], arguments: tuple[str, ...]
) -> None:
    done = run("plugins", *arguments, env=author)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no plugin is called `tide`; did you mean `tides`?" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("--options",), ("tides", "--check", "tides"), ("--options", "--check", "tides")]
)
def test_flags_that_do_not_go_together_are_bad_usage(run: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    assert run("plugins", *arguments).returncode == 2


FINDINGS = [
    "function register_preset: it is never called; for the hook register_presets, name it so and mark it",
    "command run: agentkit has one of this name, which wins; give it another",
    "middleware tally, option path: it may be null and is required: give it the default None, or take None away",
]


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_check_says_what_an_author_should_mend(
    run: Callable[..., Done], author: dict[str, str], finding: str
) -> None:
    done = run("plugins", "--check", "tides", env=author)
    assert done.returncode == 1
    assert finding in done.stdout


def test_a_check_covers_docs_schemas_layers_commands_and_what_the_import_prints(
    run: Callable[..., Done], author: dict[str, str]
) -> None:
    told = json.loads(run("plugins", "--check", "tides", "--json", env=author).stdout)
    about = {each["where"] for each in told["findings"]}
    assert {
        "tool high_tide",
        "middleware tally, option every",
        "middleware idle",
        "command run",
        "tides_plugin",
    } <= about


def test_a_check_of_a_plugin_without_a_flaw_says_so(run: Callable[..., Done]) -> None:
    done = run("plugins", "--check", "basics")
    assert (done.returncode, done.stdout) == (0, "basics: nothing to mend\n")


def test_a_check_of_a_plugin_that_fails_says_why(run: Callable[..., Done], broken: dict[str, str]) -> None:
    done = run("plugins", "--check", "broken", env=broken)
    assert done.returncode == 1
    assert "RuntimeError: no luck today" in done.stdout
