"""What ``agentkit doctor --fix`` mends: only what can be made again, and nothing that a person wrote."""

import os
from collections.abc import Iterator
from pathlib import Path

from agentkit.cli.doctor.config import examine_config, folder_of
from agentkit.cli.doctor.machine import unwritable
from agentkit.cli.exits import Problem
from agentkit.cli.flags import Flags


def mend(flags: Flags, config: str | None) -> Iterator[str]:
    """Mend what is safe to mend, and say what was done, one text each."""
    from agentkit.cli.source import STDIN, find_config
    from agentkit.discovery import cache_file

    cache = cache_file(os.environ)
    if cache is not None and unwritable(cache.parent) is None:
        cache.unlink(missing_ok=True)
        flags.load_plugins().report()
        if cache.exists():
            yield f"the index of plugins' names, {_shown(cache)}: made again"
    try:
        path = find_config(config)
    except Problem:
        return
    if path == STDIN:
        return
    yield from _schema(flags, Path(path))
    for who, template in examine_config(flags, path, flags.load_plugins()).written():
        folder = folder_of(template)
        if not folder.exists() and unwritable(folder) is None:
            folder.mkdir(parents=True)
            yield f"the folder {folder.as_posix()} of {who}: made"


def _schema(flags: Flags, config: Path) -> Iterator[str]:
    from agentkit.cli.schema import all_plugins
    from agentkit.config.json_schema import SCHEMA_FILE, is_stale, write_schema

    file, plugins = config.parent / SCHEMA_FILE, all_plugins()
    if file.exists() and not is_stale(file, plugins):
        return
    try:
        write_schema(file, plugins)
    except OSError:
        return  # the check says that it is not there
    yield f"{file.as_posix()}, for the editor's completion: written"


def _shown(path: Path) -> str:
    home = os.path.expanduser("~")
    return str(path).replace(home, "~") if len(home) > 1 else str(path)
