"""Environments with plugins that are not of this project: two made here, and one of each kind that agentkit writes."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Final, NamedTuple

import pytest

from agentkit.cli import new

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


def make_environment(folder: Path, packages: Iterable[Path]) -> str:
    """Build packages and install them, without a network, and return the Python that has them."""
    environment = _Environment(symlinks=os.name != "nt")
    environment.create(folder)
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


def bare_environ(home: Path) -> dict[str, str]:
    """Return variables without anything of the machine that could matter."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONUTF8": "1"}


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment into which both packages were built and installed."""
    folder = tmp_path_factory.mktemp("third_party")
    packages = [
        write_package(folder, "tides", version="1.2.3", source=TIDES),
        write_package(folder, "ghost", version="0.9", source=GHOST),
    ]
    return make_environment(folder / "env", packages)


@pytest.fixture
def agentkit(python: str, tmp_path: Path) -> Agentkit:
    """Run the command line of that environment in an empty folder."""
    environ = bare_environ(tmp_path)

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


class Written(NamedTuple):
    """The packages that agentkit wrote, one of each kind, and the environment that has all of them."""

    folder: Path
    python: str

    def package(self, kind: str) -> Path:
        """Return the folder of a kind's package."""
        return self.folder / f"agentkit-new-{kind}"

    def run(self, package: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these words in the folder of a kind's package."""
        return subprocess.run(
            [self.python, *words],
            cwd=self.package(package),
            env=bare_environ(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Have agentkit write a package of each kind, and install them."""
    known = {each.value for each in importlib.metadata.entry_points(group="pytest11")}
    assert "agentkit.pytest_plugin" in known, "agentkit was installed before it had fixtures: install it again"
    folder = tmp_path_factory.mktemp("written")
    made = Written(folder, "")
    packages = []
    for kind in new.KINDS:
        package = made.package(kind)
        for path, text in new.rendered(kind, new.names_of(package.name, kind)).items():
            (package / path).parent.mkdir(parents=True, exist_ok=True)
            (package / path).write_text(text, encoding="utf-8")
        packages.append(package)
    return made._replace(python=make_environment(tmp_path_factory.mktemp("environment"), packages))
