import os
import subprocess
import sys
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows says it in another way")


@POSIX
@pytest.mark.parametrize("flags", [("--lines",), ("--json", "--lines"), ()])
def test_stdin_that_cannot_be_read_is_an_error(folder: Path, environ: dict[str, str], flags: tuple[str, ...]) -> None:
    stdin = os.open(folder / "written", os.O_WRONLY | os.O_CREAT)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agentkit", "run", *flags],
            cwd=folder,
            env=environ,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=15,
        )
    finally:
        os.close(stdin)
    assert done.returncode == 2
    assert "stdin cannot be read: [Errno 9]" in done.stderr
    assert "Traceback" not in done.stderr
