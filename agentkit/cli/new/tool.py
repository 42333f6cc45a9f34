"""``agentkit new tool``: a function in the agent's ``tools.py``, and its item in the configuration.

Rule: what is there stays as it is, line by line; where that cannot be promised, the item is shown and not written.
"""

import builtins
import keyword
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.new.files import asks, filled, templates
from agentkit.cli.output import Out
from agentkit.files import replace_file

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FILE: Final = "tools.py"
_PLAIN: Final = re.compile(r"[\w./ -]+")
"""A path that stands in a configuration as it is."""


@click.command("tool", cls=Command, short_help="Add a tool to an agent: a Python function, and its item.")
@click.argument("name", required=False)
@click.option("--config", metavar="F", help="The agent that gets it, without asking; agent.yaml where none is named.")
@click.option(
    "--file", "file", metavar="F", default=_FILE, show_default=True, help="The Python file, beside the agent."
)
@click.option("--yes", is_flag=True, help="Add it to the configuration without asking.")
@click.pass_context
def tool(context: click.Context, name: str | None, config: str | None, file: str, yes: bool) -> int:
    """Add a tool of your own to an agent: a function called NAME in its tools.py, and the item that names it.

    Where the file has such a function already, only the item is added. The configuration is changed after a question,
    or with --yes or --config; otherwise the item is printed.
    """
    flags = flags_of(context)
    from agentkit.cli.source import STDIN, find_config

    path = Path(find_config(config))
    if str(path) == STDIN:
        raise Problem("a tool is added to a file, not to stdin", hint="agentkit new tool NAME --config agent.yaml")
    if name is None:
        if not asks(flags):
            raise Problem("the tool needs a name", hint="agentkit new tool tide_table")
        name = click.prompt("name of the tool", err=True)
    return _Addition(path, file, _checked(name.strip()), flags).make(sure=yes or config is not None)


def _checked(name: str) -> str:
    """Return a name for a tool.

    Raises:
        Problem: It cannot be one.
    """
    near = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        fits = _NAME.fullmatch(near) is not None and not keyword.iskeyword(near)
        hint = f"did you mean {near}?" if fits and near != name else "tide_table is one"
        raise Problem(f"{name!r} cannot be the name of a function", hint=hint)
    if hasattr(builtins, name) or name == "tool":
        raise Problem(f"{name} has a meaning in the file already", hint=f"take another name, as {name}_of_a_place")
    return name


class _Addition:
    """One function that is added to the tools of one agent."""

    def __init__(self, config: Path, file: str, name: str, flags: Flags) -> None:
        """Check what can be checked beforehand.

        Raises:
            Problem: The files cannot take it.
        """
        from agentkit.cli.new.tool_list import ToolList

        self._config = config
        self._path = config.parent / file
        self._name = name
        self._flags = flags
        if self._path.suffix != ".py":
            raise Problem(f"{file} is no Python file", hint=f"--file {_FILE}")
        if _PLAIN.fullmatch(Path(file).as_posix()) is None:
            hint = "letters, digits, spaces and - _ . / are"
            raise Problem(f"{file!r} has characters that are not taken in the name of a file of tools", hint=hint)
        if not self._path.resolve().is_relative_to(config.parent.resolve()):
            raise Problem(f"{file} is outside of the folder of {config}", hint="keep it below the configuration")
        self._reference = f"./{Path(file).as_posix()}:{name}"
        self._list = ToolList(str(config), _read(config))
        taken = not self._list.has(self._reference) and name in self._list.names
        if taken:
            raise Problem(f"{config} has a tool called {name} already", hint="take another name")

    def make(self, *, sure: bool) -> int:
        """Write the function, then the item where that is wanted, and say what comes next.

        Raises:
            Problem: A file cannot be written.
        """
        listed = self._list.has(self._reference)
        text, line = self._with_function(listed=listed)
        added = None if listed else self._list.with_function(self._reference)
        if added is not None and not sure:
            shown = self._config.as_posix()
            question = f"add `- python: {self._reference}` to {shown}?"
            sure = asks(self._flags) and click.confirm(question, default=True, err=True)
        if text is not None:
            _replace(self._path, text)
        if added is not None and sure:
            _replace(self._config, added[0])
        item_line = added[1] if added is not None and sure else None
        self._tell(line, item_line, listed=listed, refused=added is None, new=text is not None)
        return Exit.DONE

    def _with_function(self, *, listed: bool) -> tuple[str | None, int]:
        """Return the file with the function in it, None where it is in it already, and the function's line."""
        from agentkit.cli.new.python_file import SourceFile, read_source

        text = read_source(self._path)
        if text is None:
            text = filled(templates("tool", "file.txt"), {"reference": self._reference})
        source = SourceFile(self._path, text)
        there = source.function_line(self._name)
        if there is not None and not listed:
            return None, there
        line = source.line_of(self._name)
        if line is not None:
            raise Problem(f"{self._path}:{line} has a {self._name} already", hint="take another name")
        clash = not source.decorator and source.line_of("tool") is not None
        if clash:
            at = f"{self._path}:{source.line_of('tool')}"
            raise Problem(f"{at} gives the name `tool` another meaning", hint="write `import agentkit` into that file")
        values = {"decorator": source.decorator or "tool", "name": self._name, "words": self._name.replace("_", " ")}
        text = source.with_function(filled(templates("tool", "function.txt"), values))
        return text, SourceFile(self._path, text).function_line(self._name) or 1

    def _tell(self, line: int, item_line: int | None, *, listed: bool, refused: bool, new: bool) -> None:
        out = Out()
        path, config = self._path.as_posix(), self._config.as_posix()
        item = f"tools:\n  - python: {self._reference}"
        if self._flags.verbosity < 0:
            out.line(path if listed or item_line is not None else item)
            return
        out.line(f"{path}:{line}: the function {self._name}{'; write what it answers' if new else ', as it was'}")
        if listed:
            out.line(f"{config}: names it already")
        elif item_line is not None:
            out.line(f"{config}:{item_line}: its item under tools")
        else:
            out.line()
            out.line(item)
            why = "it cannot be added there without rewriting more" if refused else "another time, --yes puts it there"
            look = self._flags.look()
            say(sys.stderr, look, f"put that item under `tools:` of {config}", hint=why, level="note")
            return
        out.line()
        out.line("next:")
        out.line(f"  agentkit call --config {shlex.quote(config)} {self._name}{' place=Turin' if new else ''}")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as exc:
        raise Problem(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Problem(f"{path} is not UTF-8 text", hint="save it as UTF-8") from exc


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the mode that it had.

    Raises:
        Problem: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path.resolve(), text.encode())
    except OSError as exc:
        raise Problem(f"{path} cannot be written: {exc.strerror}", code=Exit.NO) from exc
