"""The pytest plugin: fixtures for tests of tools, middleware, plugins and agents.

It comes with agentkit (entry point ``pytest11``), and ``-p no:agentkit`` leaves it out. The async tests that take its
fixtures are run by anyio's own plugin: such a test needs no mark, runs once for each backend that is installed, and a
fixture ``anyio_backend`` chooses otherwise. Other async tests need ``@pytest.mark.anyio``::

    @pytest.mark.agent(tools=[weather])
    async def test_weather_is_spoken(fake_server, agent_session):
        fake_server.will_call("weather", city="Turin").then_say("Sunny.")
        turn = await agent_session.ask("weather in Turin?")
        assert turn.text == "Sunny."

Rule: nothing of agentkit's is imported before a fixture is used; this module is imported in every test run of whoever
has agentkit installed.
"""

import io
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

if TYPE_CHECKING:
    from agentkit.session import Session
    from agentkit.testing import FakeClock, FakeServer

_MARKER = (
    "agent(config=None, *, tools=(), middleware=(), guards=(), settings=None, limits=None, context=None): what"
    " the fixture agent_session opens: a configuration file, beside the test or at the root, or parts. A layer is given"
    " as its class or as a function that makes it, for each session needs its own."
)
_PARTS = frozenset({"tools", "middleware", "guards", "settings", "limits", "context"})
_FAILED = pytest.StashKey[bool]()
_FAKE_TIME = "fake_clock needs trio's clock, and the test sets anyio_backend itself: leave that out, or use FakeClock"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``fake_clock`` on trio, with a clock of its own."""
    names = metafunc.fixturenames
    if "fake_clock" not in names or "anyio_backend" not in names or _chosen(metafunc.definition):
        return
    from agentkit.testing import FakeClock

    try:
        clock = FakeClock().clock
    except ImportError:
        return  # the fixture says so
    backend = pytest.param(("trio", {"clock": clock}), id="trio")
    metafunc.definition.add_marker(pytest.mark.parametrize("anyio_backend", [backend]))


def _chosen(item: pytest.Item | pytest.Function) -> bool:
    marks = item.iter_markers("parametrize")
    return any("anyio_backend" in str(mark.args[0] if mark.args else mark.kwargs.get("argnames")) for mark in marks)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test failed, so that what its failure left undone is not reported as well."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def fake_server(request: pytest.FixtureRequest, anyio_backend: object) -> "Iterator[FakeServer]":
    """A scripted Realtime server, ``agentkit.testing.FakeServer``.

    At the end of a test that passed, its script has to have run and its planned answers to have been asked for.
    """
    from agentkit.testing import FakeServer

    server = FakeServer()
    yield server
    if not request.node.stash.get(_FAILED, False):
        try:
            server.verify()
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)


@pytest.fixture
async def agent_session(
    request: pytest.FixtureRequest, anyio_backend: object, fake_server: "FakeServer"
) -> "AsyncIterator[Session]":
    """A session with ``fake_server``, of what ``@pytest.mark.agent`` says: a configuration, or parts."""
    from agentkit.testing import connect

    mark = request.node.get_closest_marker("agent")
    args, parts = (mark.args, dict(mark.kwargs)) if mark is not None else ((), {})
    if len(args) > 1 or parts.keys() - _PARTS:
        unknown = ", ".join(sorted(parts.keys() - _PARTS)) or "second argument without a name"
        raise pytest.UsageError(f"@pytest.mark.agent has no {unknown}; see pytest --markers")
    for name in ("middleware", "guards"):
        parts[name] = [_layer(each) for each in parts.get(name, ())]
    config = _found(request, args[0]) if args else None
    async with connect(fake_server, config, **parts) as session:
        yield session


def _layer(given: Any) -> Any:
    from agentkit import Middleware

    return given if isinstance(given, Middleware) else given()


def _found(request: pytest.FixtureRequest, config: Any) -> Path:
    folders = [request.path.parent, request.config.rootpath]
    for folder in folders:
        if (folder / config).is_file():
            return Path(folder / config)
    raise pytest.UsageError(f"there is no {config} in {' or '.join(str(folder) for folder in dict.fromkeys(folders))}")


@pytest.fixture
def call_tool(anyio_backend: object) -> Callable[..., Any]:
    """Runs a tool through schema check, middleware, time limit and policy: ``agentkit.testing.call_tool``."""
    from agentkit.testing import call_tool

    return call_tool


@pytest.fixture
def fake_clock(anyio_backend: object) -> "FakeClock":
    """Time that moves only when told: ``await fake_clock.advance(30)``. The test runs on trio, and there only."""
    from importlib.util import find_spec

    from agentkit.testing import FakeClock

    if find_spec("trio") is None:
        pytest.fail("fake_clock needs trio: pip install trio", pytrace=False)
    clock = anyio_backend[1].get("clock") if isinstance(anyio_backend, tuple) else None
    if not hasattr(clock, "jump"):
        pytest.fail(_FAKE_TIME, pytrace=False)
    return FakeClock(clock)


@pytest.fixture
def diagnose() -> Callable[..., list[tuple[str, int | None, int | None]]]:
    """Gives the problems of a configuration's text, as (code, line, column); takes what ``load_config`` takes."""

    def diagnose(text: str, **options: Any) -> list[tuple[str, int | None, int | None]]:
        from agentkit.testing import load_config

        return [(each.code, each.line, each.column) for each in load_config(text, **options)[1]]

    return diagnose


class Ran(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    """Its exit code."""
    out: str
    """What it wrote to stdout."""
    err: str
    """What it wrote to stderr."""

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        import json

        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON documents on stdout, a line each."""
        import json

        return [json.loads(line) for line in self.out.splitlines()]


class Cli(Protocol):
    """What the fixture ``cli`` gives."""

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        """Run a verb with its words, and return how it ended."""


@pytest.fixture
def cli() -> Cli:
    """Runs a verb of ``agentkit`` in this process: ``cli("check", "agent.yaml").code``; not from an async test.

    Takes the words of the command line, and ``stdin=``. Paths start in the working directory (``monkeypatch.chdir``).
    """
    return run_cli


def run_cli(*words: str, stdin: str = "") -> Ran:
    """Run a verb of ``agentkit`` in this process, as the fixture ``cli`` does."""
    import tempfile

    from agentkit.cli.main import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as given:
        given.write(stdin)
        given.seek(0)
        before = sys.stdin, sys.stdout, sys.stderr
        restore_logging = _kept_logging()
        sys.stdin, sys.stdout, sys.stderr = given, out, err
        try:
            code = main(words)
        finally:
            sys.stdin, sys.stdout, sys.stderr = before
            restore_logging()
    return Ran(code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "replace")


def _kept_logging() -> Callable[[], None]:
    """Return what puts logging back as it is now."""
    import logging
    import warnings

    root, ours = logging.getLogger(), logging.getLogger("agentkit")
    handlers, levels, shown = list(root.handlers), (root.level, ours.level), warnings.showwarning

    def restore() -> None:
        for handler in [each for each in root.handlers if each not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        if warnings.showwarning is not shown:
            logging.captureWarnings(False)

    return restore
