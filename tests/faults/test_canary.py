"""A secret is planted wherever one may be, and is looked for wherever something is shown or written down."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest
from msgspec import Struct

import agentkit
from agentkit import Compatible, Logger, OpenAI, Secret, ToolError, tool
from agentkit.config import load_config
from agentkit.events import ApprovalRequested, Notice, ToolFinished, ToolProgress, ToolStarted
from agentkit.testing import FakeServer
from agentkit.tools import ToolContext

CANARY = "tweety"
"""How every planted secret begins."""
KEY, TOKEN, LITERAL = "tweety-key-51c2e07fd4aa", "tweety-token-8d03b1f6e29c", "tweety-literal-77e2ab10c5d8"
HEADER, QUERY, OPTION = "tweety-header-0c9d4417ffe1", "tweety-query-e5ab63c20d94", "tweety-option-19f7d2c8ab35"
ARGUMENT = "tweety-pin-42d8 \"ä\\n'"
"""A secret argument, of letters that JSON and Python write in several ways."""
PROVIDER = """\
  use: compatible
  with:
    url: ws://127.0.0.1:{port}/realtime?token=tweety-query-e5ab63c20d94
    api_key: {key}
    headers: {{X-Auth-Token: tweety-header-0c9d4417ffe1}}
"""
AGENT = """\
agent: {{name: guarded}}
provider:
{provider}
tools:
  - python: ./tools.py:leak
  - python: ./tools.py:group
  - python: ./tools.py:pay
middleware:
  - use: logger
    with: {{path: run.jsonl}}
"""
LOCAL = "  use: local\n"
TOOLS = '''\
"""Tools that tell secrets where they can."""

import logging
import os

from agentkit import tool


@tool(examples=["leak it"])
def leak() -> str:
    """Leak it."""
    logging.getLogger("agentkit.tools.leak").warning("the token is %s", os.environ["MY_TOKEN"])
    raise RuntimeError(f"cannot sign in with {os.environ['MY_TOKEN']} or {os.environ['OPENAI_API_KEY']}")


@tool(examples=["leak a group"])
async def group() -> str:
    """Leak a group."""
    raise ExceptionGroup("several", [ValueError(os.environ["MY_TOKEN"]), OSError(os.environ["OPENAI_API_KEY"])])


@tool(secret=["pin"])
def pay(pin: str, to: str = "Ann") -> str:
    """Pay."""
    raise RuntimeError(f"cannot pay {to} with {pin!r}: {pin}")
'''
Done = subprocess.CompletedProcess[str]


def clean(*texts: object) -> None:
    """Check that no secret is in any of these."""
    for text in texts:
        shown = text if isinstance(text, str) else repr(text)
        at = shown.find(CANARY)
        assert at < 0, f"a secret was shown: ...{shown[max(0, at - 60) : at + 40]}..."


# The command line, as another process


class Machine:
    """A folder with an agent, and its variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
        self.environ = {**kept, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONUTF8": "1"}
        self.environ |= {"OPENAI_API_KEY": KEY, "MY_TOKEN": TOKEN, "TMPDIR": str(folder)}
        (folder / "tools.py").write_text(TOOLS)

    def write(self, provider: str = LOCAL, *, more: str = "") -> None:
        (self.folder / "agent.yaml").write_text(AGENT.format(provider=provider) + more)

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run the program to its end, and check all that it has said and written."""
        done = subprocess.run(
            [sys.executable, "-m", "agentkit", *arguments],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=18,
            text=True,
        )
        clean(done.stdout, done.stderr, *self.written())
        return done

    def written(self) -> list[str]:
        """Return what is in the files that the program has made."""
        ours = {"agent.yaml", "tools.py"}
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name not in ours]
        return [path.read_text(errors="replace") for path in files if path.suffix != ".pyc"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.write()
    return made


class _Refusing(BaseHTTPRequestHandler):
    """Refuses every handshake, and says back all that it was told."""

    protocol_version = "HTTP/1.1"
    wants: threading.Event

    def do_GET(self) -> None:
        self.wants.set()
        told = f"no: {self.path} {self.headers}".replace("\n", " ").replace("\r", " ")
        self.send_response(401, f"wrong key {self.headers.get('Authorization')}")
        self.send_header("X-Told", told)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def refusing() -> Iterator[tuple[int, threading.Event]]:
    """Serve a wrong key's answer on loopback; gives the port, and what is set once somebody came."""
    came = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Refusing", (_Refusing,), {"wants": came}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1], came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


KEYS = pytest.mark.parametrize("key", ["${MY_TOKEN}", LITERAL], ids=["variable", "literal"])


@KEYS
@pytest.mark.parametrize("arguments", [("run", "-p", "hi", "-vv"), ("run", "-p", "hi", "--json")], ids=["-vv", "json"])
def test_a_wrong_key_is_not_shown_though_the_server_says_it_back(
    machine: Machine, key: str, arguments: tuple[str, ...]
) -> None:
    with refusing() as (port, came):
        machine.write(PROVIDER.format(port=port, key=key))
        done = machine.run(*arguments)
        assert came.is_set()
    assert done.returncode == 3
    assert "401" in done.stdout + done.stderr


def test_openai_s_own_key_is_not_shown_though_the_server_says_it_back(machine: Machine) -> None:
    with refusing() as (port, came):
        machine.write(f"  use: openai\n  with: {{url: 'ws://127.0.0.1:{port}/v1/realtime'}}\n")
        done = machine.run("run", "-p", "hi", "-vv", "--log-file", "run.log")
        assert came.is_set()
    assert done.returncode == 3
    assert "OPENAI_API_KEY" in done.stderr


@KEYS
def test_a_refused_connection_shows_no_secret(machine: Machine, key: str) -> None:
    with refusing() as (port, _):
        pass  # nobody listens there any more
    machine.write(PROVIDER.format(port=port, key=key))
    done = machine.run("run", "-p", "hi", "-vv", "--log-file", "run.log")
    assert done.returncode == 3
    assert "127.0.0.1" in done.stderr


@KEYS
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "-vv"),
        ("check", "--json"),
        ("show",),
        ("show", "--json"),
        ("show", "--chain"),
        ("tools", "-vv"),
        ("tools", "--json"),
    ],
    ids=" ".join,
)
def test_what_is_shown_of_a_configuration_has_no_secret(machine: Machine, key: str, arguments: tuple[str, ...]) -> None:
    machine.write(PROVIDER.format(port=9, key=key))
    done = machine.run(*arguments)
    assert done.returncode in (0, 2), done.stderr  # 2: there is no such option


@pytest.mark.parametrize(
    "line",
    [
        f"api_kee: {LITERAL}",
        f"api_key: [{LITERAL}]",
        f"api_key: {LITERAL} :: x: {TOKEN}",
        "api_key: ${MY_TOKEN}${NO_SUCH_VARIABLE}",
        f"headers: {{X-Auth-Token: [{HEADER}]}}",
        "auth: ${MY_TOKEN}",
        "connection: {open_timeout: '${MY_TOKEN}'}",
    ],
)
def test_a_mistake_beside_a_secret_is_told_without_it(machine: Machine, line: str) -> None:
    machine.write(f"  use: compatible\n  with:\n    url: ws://127.0.0.1:9/realtime\n    {line}\n")
    done = machine.run("check", "-vv")
    assert done.returncode in (1, 2)
    assert "agent.yaml" in done.stdout + done.stderr


@pytest.mark.parametrize("said", ["leak it", "leak a group"])
@pytest.mark.parametrize(
    "flags", [("-v",), ("-vv",), ("--json",), ("-vv", "--log-file", "run.log")], ids=["-v", "-vv", "json", "file"]
)
def test_a_tool_that_raises_with_a_secret_in_its_message_tells_nobody(
    machine: Machine, said: str, flags: tuple[str, ...]
) -> None:
    done = machine.run("run", "-p", said, *flags)
    name = "leak" if said == "leak it" else "group"
    assert f"{name}" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("call", "leak", "-vv"),
        ("call", "group", "-vv", "--log-file", "run.log"),
        ("call", "leak", "--json"),
        ("call", "pay", "--args", json.dumps({"pin": ARGUMENT}), "-vv"),
        ("call", "pay", "--args", json.dumps({"pin": ARGUMENT}), "--json", "--log-file", "run.log"),
        ("call", "pay", "--args", json.dumps({"pin": ARGUMENT, "wrong": 1}), "-vv"),
        ("call", "pay", "--args", json.dumps({"pin": [ARGUMENT]}), "--json"),
    ],
    ids=str,
)
def test_a_call_by_hand_shows_no_secret(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.run(*arguments)
    assert done.returncode in (1, 2)
    assert "failed" in done.stdout + done.stderr or "invalid" in done.stdout + done.stderr


# In a program


class Options(Struct, frozen=True, kw_only=True):
    """The options of a plugin that signs in somewhere."""

    url: str = ""
    token: Secret = Secret("")


PLAIN = """\
agent: {{name: guarded}}
provider:
{provider}
"""


def test_no_repr_of_a_configuration_or_what_it_makes_has_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    for key in ("${MY_TOKEN}", LITERAL):
        text = PLAIN.format(provider=PROVIDER.format(port=9, key=key))
        path = tmp_path / "agent.yaml"
        path.write_text(text)
        loaded = load_config(path)
        agent = agentkit.load(path)
        clean(loaded, loaded.config, loaded.config.provider, agent, agent.config, agent.provider, agent.settings)
        clean(vars(agent), str(agent.config), f"{loaded}")


def test_no_repr_of_a_provider_or_of_options_has_a_secret() -> None:
    options = Options(url="https://example.org", token=Secret(OPTION))
    clean(options, {"with": options}, str(options.token), f"{options.token!s:>40}")
    headers = {"X-Auth-Token": HEADER}
    for provider in (
        OpenAI(api_key=KEY, headers=headers, query={"token": QUERY}),
        OpenAI(api_key=Secret(KEY)),
        Compatible(f"wss://example.org/?token={QUERY}", api_key=KEY, headers=headers),
        Compatible("wss://example.org/", api_key=KEY, auth="query"),
    ):
        clean(provider, str(provider), [provider])


@pytest.mark.anyio
@pytest.mark.parametrize("make", [lambda url: OpenAI(api_key=KEY, url=url), lambda url: Compatible(url, api_key=KEY)])
async def test_an_error_of_a_wrong_key_has_no_secret_in_its_whole_chain(
    make: Callable[[str], agentkit.Provider], caplog: pytest.LogCaptureFixture
) -> None:
    import traceback

    caplog.set_level(logging.DEBUG, "agentkit")
    with refusing() as (port, _), pytest.raises(agentkit.ConnectError) as caught:
        async with agentkit.open(make(f"ws://127.0.0.1:{port}/realtime?token={QUERY}")):
            pass
    clean(caught.value, str(caught.value), caught.value.hint, caplog.text)
    clean("".join(traceback.format_exception(caught.value)))


def raises(pin: str) -> str:
    raise RuntimeError(f"cannot pay with {pin!r}: {pin}")


def raises_for_the_model(pin: str) -> str:
    raise ToolError(f"cannot pay with {json.dumps(pin)}")


def raises_a_group(pin: str) -> str:
    raise ExceptionGroup(f"with {pin}", [ValueError(pin), OSError({"pin": pin})])


def returns(pin: str) -> str:
    return f"paid with {pin}"


@pytest.mark.anyio
@pytest.mark.parametrize("body", [raises, raises_for_the_model, raises_a_group, returns])
@pytest.mark.parametrize("ends", ["approved", "edited", "rejected", "cancelled", "invalid"])
async def test_a_secret_argument_is_shown_to_nobody_but_the_body(
    body: Callable[[str], str], ends: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "agentkit")
    ran: list[str] = []

    @tool(secret=["pin"], approve="ask")
    async def pay(pin: str, context: ToolContext, to: str = "Ann") -> str:
        """Pay."""
        ran.append(pin)
        context.progress(f"paying with {pin}")
        return body(pin)

    file = tmp_path / "run.jsonl"
    server = FakeServer()
    shown: list[str] = []
    async with agentkit.open(server, tools=[pay], middleware=[Logger(file)]) as session:
        with session.subscribe(ToolStarted, ToolProgress, ToolFinished, ApprovalRequested, Notice) as events:
            wrong = {"wrong": 1} if ends == "invalid" else {}
            await server.calls("r1", c=("pay", json.dumps({"pin": ARGUMENT, **wrong})))
            async for event in events:
                shown.append(repr(event))
                if isinstance(event, ApprovalRequested):
                    clean(session.approvals.pending, session.calls.running)
                    _end(session, ends)
                if isinstance(event, ToolFinished):
                    shown += [str(event.error), repr(event.error), repr(event.result), event.output]
                    break
        clean(session, repr(session.calls), repr(session.approvals), pay, pay.policy)
        await anyio.wait_all_tasks_blocked()
    clean(*shown, caplog.text, file.read_text())
    assert ran == ([ARGUMENT] if ends in ("approved", "edited") else [])


def _end(session: agentkit.Session, ends: str) -> None:
    match ends:
        case "rejected":
            session.approvals.reject("c", "no")
        case "cancelled":
            session.calls.cancel("c")
        case "edited":
            session.approvals.approve("c", arguments={"pin": "***", "to": "Bob"})
        case _:
            session.approvals.approve("c")
