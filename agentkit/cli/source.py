"""Finding and loading the configuration that a command is given."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentkit.cli.exits import Problem, say
from agentkit.cli.flags import Flags

if TYPE_CHECKING:
    from agentkit.config.build import Agent

DEFAULT: Final = "agent.yaml"
"""The configuration where none is named; looked for in the working directory only."""
STDIN: Final = "-"
DEMO: Final = Path(__file__).parents[1] / "templates" / "demo" / DEFAULT
"""The agent of ``--demo`` where there is no other."""


def find_config(config: str | None, *, demo: bool = False) -> str:
    """Return the configuration to use.

    Args:
        demo: Take agentkit's own where none is named and the working directory has none.

    Raises:
        Problem: There is none.
    """
    path = config or DEFAULT
    if path == STDIN:
        return path
    try:
        return _found(config, path, demo=demo)
    except OSError as exc:
        raise Problem(f"{path} cannot be read: {exc.strerror}") from exc


def _found(config: str | None, path: str, *, demo: bool) -> str:
    if config is None and not Path(path).exists():
        if demo:
            return str(DEMO)
        raise Problem(f"there is no {DEFAULT} in this directory", hint=_suggestion())
    if Path(path).is_dir():
        raise Problem(f"{path} is a directory, not a configuration", hint=f"name the file: {Path(path, DEFAULT)}")
    if Path(path).is_symlink() and not Path(path).exists():
        raise Problem(f"{path} is a link to a file that is not there")
    if not Path(path).exists():
        raise Problem(f"there is no file {path}", hint=_near(Path(path)))
    return path


def _suggestion() -> str:
    found = sorted(Path("configs").glob("*.yaml"))
    if found:
        first = next((path for path in found if path.name == "quickstart.yaml"), found[0])
        return f"name a file, as {first.as_posix()}"
    return "agentkit new agent writes one; agentkit run --demo needs none"


def _near(path: Path) -> str | None:
    import difflib

    try:
        names = {each.stem: each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")}
    except OSError:
        return f"there is no directory {path.parent}"
    near = difflib.get_close_matches(path.stem, names, 1, 0.6)
    if near:
        return f"did you mean {(path.parent / names[near[0]]).as_posix()}?"
    return None


def read_stdin() -> str:
    """Read a configuration from stdin.

    Raises:
        Problem: Stdin is a terminal or cannot be read.
    """
    if sys.stdin is None:
        raise Problem("- reads the configuration from stdin, which is closed", hint="agentkit check - < agent.yaml")
    if sys.stdin.isatty():
        raise Problem("- reads the configuration from stdin, which is a terminal", hint="agentkit check - < agent.yaml")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Problem(f"the configuration on stdin is not UTF-8 (byte {exc.start})") from exc


def load_agent(
    flags: Flags,
    config: str | None,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    demo: bool = False,
    trust: bool = False,
) -> "Agent":
    """Load an agent, and say its warnings.

    Args:
        flags: The global flags.
        config: The file; ``-`` for stdin, None for ``agent.yaml``.
        overrides: ``key.path=value`` each, on top of the file.
        preset: A preset to take in place of the file's own.
        demo: Use the embedded server, whatever the file says.
        trust: Let a configuration from stdin name code with ``python:``; a file always may.

    Raises:
        Problem: There is no such configuration.
        ConfigErrors: It cannot be used.
    """
    path = find_config(config, demo=demo)
    text = read_stdin() if path == STDIN else None
    from agentkit.config.build import load

    agent = load(
        "<stdin>" if text is not None else path,
        text=text,
        overrides=overrides,
        preset=preset,
        plugins=flags.load_plugins(),
        demo=demo,
        trust=trust or text is None,
        embedding=False,
    )
    if flags.verbosity >= 0:
        look = flags.look()
        for each in agent.warnings:
            say(sys.stderr, look, f"{each.place}: {each.message}", hint=each.hint, level="warning")
    return agent
