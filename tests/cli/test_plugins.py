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


def test_time_shows_what_each_import_took(run: Callable[..., Done]) -> None:
    assert " ms\n" in run("plugins", "--time").stdout


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
