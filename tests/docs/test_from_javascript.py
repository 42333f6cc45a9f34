"""The document for people who come from JavaScript: its code runs, its names exist, its program works."""

import inspect
import re
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agentkit
from agentkit import RealtimeClient, audio
from agentkit.client import RealtimeAPI, RealtimeConversation

DOCS = Path(agentkit.__file__).parent / "docs"
TEXT = (DOCS / "from-javascript.md").read_text("utf-8")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python module, with pipes; it is gone at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def say(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def test_the_first_block_runs_as_it_stands(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code[1]], cwd=tmp_path, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def cells(heading: str) -> list[list[str]]:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row.startswith("| `")
    ]


@pytest.mark.parametrize("python", [row[1] for row in cells("Method by method")])
def test_every_name_of_the_table_exists(python: str) -> None:
    client = RealtimeClient(provider=agentkit.Local())
    names = re.findall(r"client\.((?:realtime|conversation)\.)?([a-z_]+)", python)
    for part, name in names:
        owner = {"": client, "realtime.": client.realtime, "conversation.": client.conversation}[part]
        assert hasattr(owner, name), python
    assert names or re.search(r"agentkit\.audio|RealtimeClient\(|update_session", python), python


@pytest.mark.parametrize("name", sorted(set(re.findall(r"agentkit\.audio\.(\w+)", TEXT))))
def test_every_audio_function_of_the_table_exists(name: str) -> None:
    assert callable(getattr(audio, name))


@pytest.mark.parametrize("owner", [RealtimeClient, RealtimeConversation, RealtimeAPI])
def test_every_method_of_the_table_has_an_example(owner: type) -> None:
    named = set(re.findall(r"client\.(?:realtime\.|conversation\.)?(\w+)\(", TEXT))
    methods = [name for name in named if inspect.isfunction(getattr(owner, name, None))]
    assert methods
    assert [name for name in methods if ">>>" not in (getattr(owner, name).__doc__ or "")] == []


def test_the_console_program_calls_a_tool_writes_a_wav_file_and_can_be_cut_off(start: Start, tmp_path: Path) -> None:
    server = start("agentkit", "emulate", "--port", "0", "--speech", "tones", "-q")
    console = start("agentkit.docs.console", "--url", line(server).strip(), "--wav", "answer.wav")
    say(console, "what is the weather in Turin?")
    assert line(console) == '[get_weather({"location":"Turin"})]\n'
    assert line(console) == "location: Turin, celsius: 21, sky: clear\n"
    say(console, "!")
    assert line(console) == "\n"
    assert re.fullmatch(r"\[cut off; heard \d+ ms: .*\]\n", line(console))
    assert console.stdin is not None
    console.stdin.close()
    assert console.wait(20) == 0
    with wave.open(str(tmp_path / "answer.wav")) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (24000, 1, 2)
        assert wav.getnframes() > 24000


def test_the_console_program_says_in_a_line_what_is_wrong(start: Start) -> None:
    console = start("agentkit.docs.console", "--url", "ws://127.0.0.1:1/v1/realtime")
    out, _ = console.communicate(timeout=20)
    assert (console.returncode, out.startswith("error: "), out.count("\n")) == (1, True, 1)
