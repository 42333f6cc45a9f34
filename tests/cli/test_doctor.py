import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.terminals import Terminal

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]

PLAIN = "agent: {instructions: Be brief.}\nprovider: {use: local}\n"
KEYED = """\
agent: {{instructions: Be brief.}}
provider: {{use: compatible, with: {{url: "{url}", api_key: "${{MY_KEY}}", connection: {{open_timeout: 300ms}}}}}}
"""
KEY = "sk-0123456789abcdefghij-tail"


def lines(done: Done, status: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(f"  {status}")]


def test_a_sound_agent_has_no_problems(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN)
    done = run("doctor")
    assert done.returncode == 0
    assert re.match(r"  ok    python 3\.\d+\.\d+, agentkit \S+, \d+ plugins", done.stdout)
    assert "  ok    config agent.yaml (provider local)\n" in done.stdout
    assert "  ok    provider: local answers in " in done.stdout
    assert "no problems found\n" in done.stdout
    assert not lines(done, "FAIL") + lines(done, "warn")


def test_it_ends_with_a_report_that_names_versions_and_hides_home(
    run: Callable[..., Done], folder: Path, tmp_path: Path
) -> None:
    (folder / "agent.yaml").write_text(PLAIN.replace("local}", "local}\nmiddleware: [{use: nothing-like-it}]"))
    done = run("doctor")
    report = done.stdout.partition("to paste into an issue:\n")[2]
    assert [line.split(":")[0].strip() for line in report.splitlines()] == [
        "agentkit",
        "platform",
        "plugins",
        "packages",
        "config",
        "findings",
    ]
    assert "AK201" in report
    assert str(tmp_path) not in report


def test_without_a_configuration_the_rest_is_checked(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    done = run("doctor")
    assert done.returncode == 0
    assert "there is no agent.yaml in this folder     try: agentkit new agent" in lines(done, "warn")[0]
    assert "python" in lines(done, "ok")[0]


def test_a_named_file_that_is_not_there_fails_with_the_nearest(run: Callable[..., Done]) -> None:
    done = run("doctor", "agnt.yaml")
    assert done.returncode == 1
    assert lines(done, "FAIL") == ["  FAIL  there is no file agnt.yaml     did you mean agent.yaml?"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "1 error: line 1: agent.yaml is empty"),
        (PLAIN + "tols: []\n", "1 error: line 3: unknown key `tols`"),
        ("agent: {instructions: [}\n", "error"),
        (PLAIN + "tools: [{use: no-such-tool}]\n", "no tool is called `no-such-tool`"),
        (PLAIN + "tools: [{python: './tools.py:missing'}]\n", "./tools.py has no `missing`"),
        (PLAIN + "tools: [{python: './raises.py:x'}]\n", "RuntimeError: no luck"),
        (PLAIN + "a: 1\nb: 2\nc: 3\nd: 4\n", "4 errors: line 3: "),
    ],
    ids=["empty", "key", "syntax", "tool", "function", "import", "many"],
)
def test_each_mistake_of_the_configuration_is_told(
    run: Callable[..., Done], folder: Path, text: str, said: str
) -> None:
    (folder / "agent.yaml").write_text(text)
    (folder / "raises.py").write_text("print('printed there')\nraise RuntimeError('no luck')\n")
    done = run("doctor")
    assert done.returncode == 1
    (line,) = lines(done, "FAIL")
    assert said in line
    assert line.endswith("try: agentkit check agent.yaml")
    assert "printed there" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_variable_that_is_not_set_fails_and_the_rest_is_checked(run: Callable[..., Done], folder: Path) -> None:
    text = KEYED.format(url="ws://127.0.0.1:1") + "middleware: [{use: logger, with: {path: 'agent.yaml/x.jsonl'}}]\n"
    (folder / "agent.yaml").write_text(text)
    done = run("doctor")
    variable, logger = lines(done, "FAIL")
    assert "the environment variable MY_KEY is not set (agent.yaml:2:" in variable
    assert "export MY_KEY=" in variable
    assert "logger cannot write into agent.yaml: agent.yaml is not a folder" in logger
    assert "was not connected to: MY_KEY is not set" in done.stdout


def test_the_key_that_the_provider_reads_itself_is_a_variable_too(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN.replace("local", "openai"))
    done = run("doctor")
    assert "the environment variable OPENAI_API_KEY is not set (agent.yaml:2:" in lines(done, "FAIL")[0]
    assert "the provider api.openai.com was not connected to" in done.stdout


def test_a_key_is_shown_by_its_end_only(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(KEYED.format(url="ws://127.0.0.1:1"))
    done = run("doctor", "--offline", env={"MY_KEY": KEY})
    assert "  ok    MY_KEY is set, ending in tail\n" in done.stdout
    assert KEY not in done.stdout + done.stderr
    spaced = run("doctor", "--offline", env={"MY_KEY": f'"{KEY}"'})
    assert "has quotes or spaces in it that no key has" in lines(spaced, "warn")[0]


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Start servers that give every connection one answer; nothing for an empty one."""
    sockets: list[socket.socket] = []

    def serve(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def run() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                sockets.append(peer)
                peer.recv(65536)
                if answer:
                    peer.sendall(answer)
                    peer.close()

        threading.Thread(target=run, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for each in sockets:
        each.close()


@pytest.mark.parametrize(
    "status, said",
    [
        ("401 Unauthorized", "refused the key MY_KEY ending in tail (HTTP 401)"),
        ("403 Forbidden", "refused the key MY_KEY ending in tail (HTTP 403)"),
        ("404 Not Found", "knows no such endpoint or model (HTTP 404)"),
        ("429 Too Many Requests", "asks for fewer connections (HTTP 429)"),
        ("503 Unavailable", "refused the connection (HTTP 503)"),
        ("200 OK", "not a websocket"),
    ],
)
def test_each_refusal_of_the_provider_is_named(
    run: Callable[..., Done], folder: Path, answering: Callable[[bytes], str], status: str, said: str
) -> None:
    host = answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    (folder / "agent.yaml").write_text(KEYED.format(url=f"ws://{host}/v1"))
    done = run("doctor", env={"MY_KEY": KEY})
    assert done.returncode == 1
    (line,) = lines(done, "FAIL")
    assert said in line
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url, said",
    [
        ("ws://nowhere..invalid/v1", "could not be resolved"),
        ("ws://127.0.0.1:1/v1", "nothing accepts connections at 127.0.0.1:1"),
        ("wss://{plain}/v1", "no TLS connection with"),
        ("ws://{silent}/v1", "did not finish the handshake within 0.3 s"),
    ],
    ids=["dns", "refused", "tls", "timeout"],
)
def test_each_failure_of_the_network_is_named(
    run: Callable[..., Done], folder: Path, answering: Callable[[bytes], str], url: str, said: str
) -> None:
    filled = url.format(plain=answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), silent=answering(b""))
    (folder / "agent.yaml").write_text(KEYED.format(url=filled))
    done = run("doctor", env={"MY_KEY": KEY})
    assert done.returncode == 1
    assert said in lines(done, "FAIL")[0]


def test_a_key_that_is_accepted_is_said_with_the_time(
    run: Callable[..., Done], folder: Path, start: Callable[..., Started]
) -> None:
    server = start("emulate", "--port", "0")
    assert server.stdout is not None
    (folder / "agent.yaml").write_text(KEYED.format(url=server.stdout.readline().decode().strip()))
    done = run("doctor", env={"MY_KEY": KEY})
    assert done.returncode == 0
    assert re.search(r"ok    MY_KEY is accepted by 127\.0\.0\.1 in \d+ ms", done.stdout)


def test_offline_connects_to_nothing(run: Callable[..., Done], folder: Path, answering: Callable[[bytes], str]) -> None:
    text = KEYED.format(url=f"ws://{answering(b'')}/v1")
    text += f"tools: [mcp: {{command: [no-such-program]}}, mcp: {{command: [{json.dumps(sys.executable)}]}}]\n"
    (folder / "agent.yaml").write_text(text)
    done = run("doctor", "--offline", env={"MY_KEY": KEY})
    assert "was not connected to (--offline)" in done.stdout
    assert "the program no-such-program of " in lines(done, "FAIL")[0]
    assert "is there; it was not started (--offline)" in done.stdout


def test_mcp_servers_are_opened(run: Callable[..., Done], folder: Path) -> None:
    text = PLAIN + "tools: [{mcp: {command: [no-such-program]}}, {mcp: {command: [nor-this]}, optional: true}]\n"
    (folder / "agent.yaml").write_text(text)
    done = run("doctor")
    assert done.returncode == 1
    assert "no-such-program" in lines(done, "FAIL")[0]
    assert "nor-this" in lines(done, "warn")[0]


def test_a_toolset_that_opens_tells_its_tools(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN + "tools: [{python: './boxes.py:Box'}]\n")
    (folder / "boxes.py").write_text(
        "from agentkit import Toolset, tool\n\n@tool\ndef peek() -> str:\n    'Look.'\n    return 'x'\n\n"
        "class Box(Toolset):\n    name = 'box'\n    def tools(self):\n        return [peek]\n"
    )
    done = run("doctor")
    assert done.returncode == 0
    assert re.search(r"opened in \d+ ms: 1 tools?", done.stdout)


def test_json_is_one_document(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN.replace("local", "openai"))
    done = run("doctor", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["v"], told["ok"], told["fixed"]) == (1, False, [])
    assert all(set(each) == {"name", "status", "message", "hint", "ms"} for each in told["checks"])
    assert {each["status"] for each in told["checks"]} <= {"ok", "warn", "FAIL", "skip"}
    assert "FAIL" in [each["status"] for each in told["checks"] if each["name"] == "variable OPENAI_API_KEY"]
    assert set(told["report"]) >= {"agentkit", "platform", "plugins"}


def test_fix_makes_the_index_the_schema_and_missing_folders(
    run: Callable[..., Done], folder: Path, tmp_path: Path
) -> None:
    text = PLAIN + "middleware: [{use: logger, with: {path: 'deep/logs/{session}.jsonl'}}]\n"
    (folder / "agent.yaml").write_text(text)
    done = run("doctor", "--fix")
    assert done.returncode == 0
    assert (folder / "deep" / "logs").is_dir()
    assert json.loads((folder / ".agentkit" / "schema.json").read_text())["type"] == "object"
    assert list((tmp_path / "cache").rglob("plugins-*.json"))
    assert len([line for line in done.stdout.splitlines() if line.startswith("  fixed ")]) == 3
    again = run("doctor", "--fix", "--json")
    assert [each.partition(":")[0] for each in json.loads(again.stdout)["fixed"]] == [
        f"the index of plugins' names, ~/cache/agentkit/{next((tmp_path / 'cache').rglob('plugins-*.json')).name}"
    ]
    assert (folder / "agent.yaml").read_text() == text


def test_a_stale_schema_of_the_editor_is_told_until_it_is_mended(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN)
    assert any("no .agentkit/schema.json" in line for line in lines(run("doctor"), "skip"))
    run("doctor", "--fix")
    file = folder / ".agentkit" / "schema.json"
    file.write_text(file.read_text().replace("calculate", "reckon"))
    (line,) = lines(run("doctor"), "warn")
    assert "is older than the plugins" in line
    assert not lines(run("doctor", "--fix"), "warn")
    assert "calculate" in file.read_text()


def test_without_fix_nothing_is_written(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN + "middleware: [{use: logger, with: {path: 'logs/{session}.jsonl'}}]\n")
    before = sorted(folder.iterdir())
    assert run("doctor").returncode == 0
    assert sorted(folder.iterdir()) == before


def test_plugins_that_are_broken_or_switched_off_are_named(
    run: Callable[..., Done], tmp_path: Path, environ: dict[str, str]
) -> None:
    site = tmp_path / "site"
    for name, needs in (("broken", ""), ("young", "Requires-Python: >=3.99\n")):
        info = site / f"{name}_plugin-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 0.1\n{needs}")
        (info / "entry_points.txt").write_text(f"[agentkit]\n{name} = {name}_plugin\n")
    (site / "broken_plugin.py").write_text("raise RuntimeError('no luck today')\n")
    (site / "young_plugin.py").write_text("")
    path = os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))
    done = run("doctor", "--offline", env={"PYTHONPATH": path})
    broken, young = lines(done, "warn")
    assert "RuntimeError: no luck today" in broken
    assert "to go on without it" in broken
    assert "(young-plugin) is made for Python >=3.99, and this is 3." in young
    off = run("doctor", "--offline", env={"PYTHONPATH": path, "AGENTKIT_PLUGINS": "none"})
    (line,) = [each for each in lines(off, "skip") if "switched off by AGENTKIT_PLUGINS" in each]
    assert "broken" in line
    wrong = run("doctor", "--offline", "--plugins", "basix")
    assert any("no plugin is called `basix`" in each for each in lines(wrong, "warn"))


def test_proxies_and_missing_homes_are_told(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN)
    variables = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128", "HOME": "", "XDG_CACHE_HOME": ""}
    done = run("doctor", env=variables)
    assert "connections go through the proxy http://proxy.example:3128 (HTTPS_PROXY)" in done.stdout
    assert "secret" not in done.stdout
    assert "no place for the cache" in lines(done, "warn")[0]


def test_a_place_for_conversations_that_cannot_be_written_is_told(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN)
    done = run("doctor", env={"AGENTKIT_STATE_DIR": str(folder / "agent.yaml" / "state")})
    assert "conversations cannot be kept in" in lines(done, "warn")[0]


def test_what_stdin_names_is_not_run(run: Callable[..., Done], folder: Path) -> None:
    (folder / "ran.py").write_text("open('ran.txt', 'w').close()\n")
    done = run("doctor", "-", stdin=PLAIN + "tools: [{python: './ran.py:x'}]\n")
    assert done.returncode == 1
    assert lines(done, "FAIL")[0].endswith("try: agentkit check -")
    assert not (folder / "ran.txt").exists()


def test_quiet_shows_only_what_is_wrong(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(PLAIN)
    assert run("doctor", "-q").stdout == "no problems found\n"


def test_a_terminal_is_described_and_lines_fit_it(folder: Path, environ: dict[str, str]) -> None:
    (folder / "agent.yaml").write_text(KEYED.format(url="ws://127.0.0.1:1/v1"))
    terminal = Terminal(folder, environ, "doctor", columns=60)
    try:
        terminal.expect("terminal: 60 columns, colour, Unicode")
        terminal.expect("1 failure")
        shown, _, _ = terminal.text.partition("to paste")
        assert all(len(line) <= 60 for line in shown.splitlines())
        assert terminal.end() == 1
    finally:
        terminal.close()


def test_what_a_toolset_does_ends_no_other_check(run: Callable[..., Done], folder: Path) -> None:
    (folder / "house.py").write_text(
        "from agentkit import Toolset\n\nclass House(Toolset):\n    def tools(self):\n        raise KeyError('door')\n"
    )
    (folder / "agent.yaml").write_text(f"{PLAIN}tools: [{{python: ./house.py:House}}]\n")
    done = run("doctor")
    assert done.returncode == 1
    assert "could not be looked at: KeyError: 'door'" in done.stdout
    assert "  ok    config agent.yaml" in done.stdout
    assert "to paste into an issue:" in done.stdout
