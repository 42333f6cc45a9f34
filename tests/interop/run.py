"""The embedded server against a client of another make: a spoken conversation, run by the JavaScript reference client.

    python tests/interop/run.py

It needs Node.js 18 or later with npm, and the network for one package, which goes into a temporary folder. It starts
`agentkit emulate --speech tones --paced` on a free port, runs javascript/conversation.mjs against it, and decodes the
audio that the client kept. Every check prints a line; the exit code is 1 where one fails, and 2 where it could not run.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentkit.events import AudioFormat
from agentkit.local import decode_tones, encode_tones

HERE = Path(__file__).resolve().parent
PACKAGE = "openai-realtime-api@1.0.8"
"""A port of OpenAI's reference client that is published; it speaks the beta dialect."""
LAST = "ok the server has reported no error"
"""The conversation's last line."""
SECONDS = 120
PCM = AudioFormat(type="audio/pcm", rate=24000)
SPOKEN = {f"question-{city}.pcm": f"what time is it in {city}?" for city in ("Lima", "Oslo")}
HEARD = {
    "answer-Tokyo.pcm": "It is five past two in Tokyo.",
    "answer-Lima.pcm": "It is five past two in Lima.",
    "answer-Oslo.pcm": "It is five past two in Oslo.",
    "heard-Oslo.pcm": "what time is it in Oslo?",
}
"""What the audio that the client keeps has to say."""


def main() -> int:
    """Run the conversation and return the exit code."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        say("Node.js with npm is not installed")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(HERE / "javascript" / "conversation.mjs", folder)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        install = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
        if subprocess.run(install, cwd=folder, check=False).returncode:
            say(f"npm could not install {PACKAGE}")
            return 2
        for file, text in SPOKEN.items():
            (folder / file).write_bytes(encode_tones(text, PCM))
        with serving() as url:
            command = [node, "conversation.mjs", url, name]
            done = subprocess.run(command, cwd=folder, check=False, timeout=SECONDS, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.splitlines()
        say(*lines)
        if done.returncode or not all(line.startswith("ok ") for line in lines) or lines[-1:] != [LAST]:
            say("FAILED the conversation did not come to its end")
            return 1
        wrong = [file for file, text in HEARD.items() if not said(folder / file, text)]
        return 1 if wrong else 0


def said(file: Path, wanted: str) -> bool:
    """Check what the client's audio says."""
    text = decode_tones(file.read_bytes(), PCM)
    say(f"ok {file.name} says: {text}" if text == wanted else f"FAILED {file.name} says {text!r}, not {wanted!r}")
    return text == wanted


@contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port, and give the URL."""
    command = [sys.executable, "-m", "agentkit", "-q", "emulate", "--port", "0", "--speech", "tones", "--paced"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            if not url:
                raise SystemExit("the server did not start")
            yield url
        finally:
            server.terminate()


def say(*lines: str) -> None:
    """Print lines."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
