"""Which configurations `agentkit check` looks at: files, and those among the YAML files of a folder."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agentkit.cli.exits import Problem
from agentkit.files import read_regular

_SKIPPED: Final = ("node_modules", "__pycache__", "site-packages")
_MAX_READ: Final = 1024 * 1024
_TOP_KEY: Final = re.compile(r"^([a-z]+)[ \t]*:(?=\s|$)", re.MULTILINE)


def targets(paths: Sequence[str]) -> list[str]:
    """Return the configurations that paths stand for, each once.

    In a folder, every `*.yaml` and `*.yml` below it counts that has `agent:` at its top, or `extends:` or `preset:`
    with another key of a configuration; not what another one of them extends, which is checked with that one. Hidden
    files and folders, links, and folders of installed packages are passed over.

    Raises:
        Problem: A path is empty or not there, or a folder has no configuration.
    """
    from agentkit.cli.source import find_config

    found: dict[str, None] = {}
    for path in paths:
        if not path:
            raise Problem("an empty name is no configuration", hint="a shell variable may be unset")
        if Path(path).is_dir():
            inside = list(_configurations(Path(path)))
            if not inside:
                hint = "a configuration has `agent:` at its top"
                raise Problem(f"there is no configuration in the folder {path}", hint=hint)
            found.update(dict.fromkeys(inside))
        else:
            found[find_config(path)] = None
    return list(found)


def _configurations(folder: Path) -> Iterator[str]:
    files = {path: text for path in _yaml_files(folder) if (text := _text(path)) is not None and _looks_like_one(text)}
    extended = {other for path, text in files.items() for other in _extended(path, text)}
    yield from (path.as_posix() for path in files if path.resolve() not in extended)


def _yaml_files(folder: Path) -> Iterator[Path]:
    for home, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not Path(home, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            path = Path(home, name)
            if path.suffix in (".yaml", ".yml") and not name.startswith(".") and not path.is_symlink():
                yield path


def _text(path: Path) -> str | None:
    try:
        return read_regular(path, _MAX_READ).decode("utf-8-sig", "replace")
    except OSError:
        return None


def _looks_like_one(text: str) -> bool:
    from agentkit.config import Config
    from agentkit.config.shape import fields_of

    keys = {key for key in _TOP_KEY.findall(text) if key in fields_of(Config)}
    return "agent" in keys or (bool({"extends", "preset"} & keys) and len(keys) > 1)


def _extended(path: Path, text: str) -> Iterable[Path]:
    """Return the files that one builds on."""
    from agentkit.config.diagnostics import Problems
    from agentkit.config.loader import read_yaml
    from agentkit.config.nodes import ListNode, MapNode, ScalarNode, Source

    root = read_yaml(Source(path.name, text), Problems())
    said = root.get("extends") if isinstance(root, MapNode) else None
    names = said.items if isinstance(said, ListNode) else (said,)
    return [
        (path.parent / name.text).resolve() for name in names if isinstance(name, ScalarNode) and "\0" not in name.text
    ]
