import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")


def url_of(process: Started) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def agent(url: str) -> str:
    return (
        f"agent: {{}}\nprovider: {{use: compatible, with: {{url: '{url}'}}}}\ntools: [{{python: './tools.py:add'}}]\n"
    )


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_an_agent_talks_to_it_as_to_the_embedded_server(
    start: Callable[..., Started], run: Callable[..., Done], folder: Path, dialect: str
) -> None:
    url = url_of(start("emulate", "--port", "0", "--dialect", dialect))
    assert url.startswith("ws://127.0.0.1:")
    text = agent(url).replace("url:", f"dialect: {dialect}, url:")
    (folder / "remote.yaml").write_text(text)
    done = run("run", "remote.yaml", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


@POSIX
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_it_in_good_order(start: Callable[..., Started], number: int, code: int) -> None:
    process = start("emulate", "--port", "0")
    url_of(process)
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_the_responder_can_come_from_a_configuration(
    start: Callable[..., Started], run: Callable[..., Done], folder: Path
) -> None:
    (folder / "server.yaml").write_text("agent: {}\nprovider: {use: local, with: {model: my-model}}\n")
    (folder / "remote.yaml").write_text(agent(url_of(start("emulate", "--port", "0", "--config", "server.yaml"))))
    assert '"model":"my-model"' in run("run", "remote.yaml", "--json", "-p", "add 2 and 3").stdout


def test_an_unknown_responder_gets_the_nearest(run: Callable[..., Done]) -> None:
    done = run("emulate", "--responder", "ruls")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `rules`" in done.stderr


def test_a_taken_port_is_one_line(start: Callable[..., Started], run: Callable[..., Done]) -> None:
    port = url_of(start("emulate", "--port", "0")).rpartition(":")[2].partition("/")[0]
    done = run("emulate", "--port", port)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_provider_without_a_responder_is_refused(run: Callable[..., Done], folder: Path) -> None:
    (folder / "remote.yaml").write_text(agent("ws://127.0.0.1:1/v1/realtime"))
    done = run("emulate", "--config", "remote.yaml")
    assert done.returncode == 2
    assert "has no responder" in done.stderr


def test_a_server_that_goes_away_ends_the_talk_with_its_reason(start: Callable[..., Started], folder: Path) -> None:
    server = start("emulate", "--port", "0")
    (folder / "remote.yaml").write_text(agent(url_of(server)))
    process = start("run", "remote.yaml", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"add 2 and 3\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"5\n"
    server.terminate()
    assert process.wait(10) == 3
    assert process.stderr is not None
    told = process.stderr.read().decode()
    assert told.startswith("error: the session has ended")
    assert "Traceback" not in told
