import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


@pytest.mark.parametrize("arguments", [[], ["--test"], ["--level"]])
def test_without_the_audio_package_it_says_what_to_install(run: Callable[..., Done], arguments: list[str]) -> None:
    done = run("devices", *arguments)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: microphones and speakers need the package agentkit-realtime-audio, which is not installed\n"
        "  pip install agentkit-realtime-audio\n"
    )


def test_json_is_one_document(run: Callable[..., Done]) -> None:
    done = run("devices", "--json")
    assert (done.returncode, done.stderr) == (4, "")
    told = json.loads(done.stdout)
    assert (told["v"], told["devices"], told["hint"]) == (1, [], "pip install agentkit-realtime-audio")


PLUGIN = """
from agentkit import LazyCommand, hookimpl

@hookimpl
def register_commands():
    return [
        LazyCommand("devices", "List what this plugin found.", "sound_plugin.cli:devices"),
        LazyCommand("run", "Never reached.", "sound_plugin.cli:devices"),
    ]
"""
COMMAND = """
import click

@click.command()
@click.option("--level", is_flag=True)
def devices(level):
    click.echo(f"one microphone, level {level}")
"""


@pytest.fixture
def sound(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """Variables under which a plugin with a command ``devices`` is installed."""
    site = tmp_path / "site"
    (site / "sound_plugin").mkdir(parents=True)
    (site / "sound_plugin" / "__init__.py").write_text(PLUGIN)
    (site / "sound_plugin" / "cli.py").write_text(COMMAND)
    info = site / "sound_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sound-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[agentkit]\nsound = sound_plugin\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))}


def test_a_plugin_that_brings_it_takes_its_place(run: Callable[..., Done], sound: dict[str, str]) -> None:
    done = run("devices", "--level", "-q", env=sound)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one microphone, level True\n", "")
    assert run("devices", env={**sound, "AGENTKIT_LEVEL": "1"}).stdout == "one microphone, level True\n"
    assert run("devices", "--version", env=sound).stdout.startswith("agentkit ")
    assert run("devices", "--plugins", "none", env={**sound, "AGENTKIT_PLUGINS": "none"}).returncode == 4


def test_a_plugin_takes_the_place_of_no_other_command(run: Callable[..., Done], sound: dict[str, str]) -> None:
    assert run("run", "-p", "add 2 and 3", env=sound).stdout == "5\n"


def test_the_help_lists_it_once(run: Callable[..., Done], sound: dict[str, str]) -> None:
    assert "  devices     List microphones and speakers" in run("--help").stdout
    run("plugins", env=sound)
    listed = run("--help", env=sound).stdout
    assert listed.count("\n  devices ") == 1
    assert "List what this plugin found. (sound-plugin)" in listed


def test_the_check_of_plugins_allows_it(run: Callable[..., Done], sound: dict[str, str]) -> None:
    told = json.loads(run("plugins", "--check", "sound", "--json", env=sound).stdout)
    assert [each["where"] for each in told["findings"] if each["where"].startswith("command")] == ["command run"]
