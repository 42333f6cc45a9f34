"""An environment with two plugins that are not of this project: one that works and one that raises at import."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

PYPROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "{version}"
dependencies = ["agentkit-realtime"]

[project.entry-points.agentkit]
{plugin} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""
TIDES: Final = '''\
from pathlib import Path

from msgspec import Struct

from agentkit import Factory, Middleware, hookimpl, on, tool
from agentkit.events import ResponseCreate, ServerEvent


@tool(examples=["when is high tide in {port}?"])
def high_tide(port: str) -> str:
    """Tell when the next high tide is.

    Args:
        port: The port's name.
    """
    return f"High tide in {port} is at 16:40."


class TallyConfig(Struct, frozen=True, kw_only=True):
    path: Path


class Tally(Middleware):
    """Note the responses that were asked for, and the tools that were called."""

    def __init__(self, config: TallyConfig) -> None:
        self._path = config.path

    def _note(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\\n")

    @on(ResponseCreate)
    async def asked(self, event, call_next):
        self._note(event.wire_type)
        await call_next(event)

    async def wrap_tool_call(self, call, call_next):
        result = await call_next(call)
        self._note(f"{call.name}: {result.status}")
        return result


@hookimpl
def register_tools():
    return [high_tide]


@hookimpl
def register_middleware():
    return [Factory("tally", Tally, TallyConfig)]
'''
GHOST: Final = """\
from agentkit import hookimpl

raise RuntimeError("the licence file is missing")


@hookimpl
def register_tools():
    return []
"""

Agentkit = Callable[..., subprocess.CompletedProcess[str]]


class _Environment(venv.EnvBuilder):
    """A bare environment that sees what the running one has, editable installs included."""

    def post_setup(self, context: SimpleNamespace) -> None:
        self.python = str(context.env_exe)
        paths = {"base": context.env_dir, "platbase": context.env_dir}
        own = Path(sysconfig.get_path("purelib", "venv", paths))
        outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        lines = "".join(f"import site; site.addsitedir({folder!r})\n" for folder in outer)
        (own / "outer.pth").write_text(lines)


def write_package(folder: Path, plugin: str, *, version: str, source: str) -> Path:
    """Write what an author of a plugin writes: a pyproject and one module."""
    folder = folder / f"agentkit-realtime-{plugin}"
    folder.mkdir()
    module = f"agentkit_{plugin}"
    project = PYPROJECT.format(distribution=folder.name, plugin=plugin, module=module, version=version)
    (folder / "pyproject.toml").write_text(project)
    (folder / f"{module}.py").write_text(source)
    return folder


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment into which both packages were built and installed, without a network."""
    folder = tmp_path_factory.mktemp("third_party")
    environment = _Environment(symlinks=os.name != "nt")
    environment.create(folder / "env")
    packages = [
        write_package(folder, "tides", version="1.2.3", source=TIDES),
        write_package(folder, "ghost", version="0.9", source=GHOST),
    ]
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment.python, "install", "-q", *offline, *map(str, packages)],
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return environment.python


@pytest.fixture
def agentkit(python: str, tmp_path: Path) -> Agentkit:
    """Run the command line of that environment in an empty folder."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environ = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONUTF8": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "agentkit", *arguments],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run
