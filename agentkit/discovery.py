"""Which plugins are installed, from metadata alone, and the index of their names kept between runs.

Rule: nothing here imports a plugin but ``Source.load``. An index record counts only while its fingerprint
holds: the distribution's name, version, entry points and RECORD, and its module's time and size; of an
editable install, those of every Python file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agentkit.errors import DuplicateNameError, PluginError, PluginLoadError
from agentkit.registry import LazyCommand, Owner, is_name

GROUP: Final = "agentkit"
"""The entry-point group."""
BUILTIN: Final = "agentkit"
"""The plugin of the core itself; it is always on."""
_BUILTIN_TARGET: Final = "agentkit.builtin"
_BUILTIN_DISTRIBUTION: Final = "agentkit-realtime"
_FORMAT: Final = 1
_MAX_FILES: Final = 2_000

_TARGET = re.compile(r"(?P<module>\w+(\.\w+)*)\s*(:\s*(?P<attribute>\w+(\.\w+)*))?\s*(\[.*\])?")
# What reading a damaged dist-info raises, by Python version: importlib.metadata has no error for it.
_DAMAGED = (AttributeError, KeyError, TypeError, ValueError, OSError, ImportError)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that could be loaded."""

    owner: Owner
    target: str
    """``module`` or ``module:attribute``; empty for a module given in code."""
    fingerprint: str = ""
    """Changes whenever what the plugin registers may have changed; empty where that cannot be known."""
    load: Callable[[], object]
    """Imports the plugin and returns the object that holds its hooks."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata says."""

    sources: Mapping[str, Source]
    """By plugin name."""
    failures: tuple[PluginError, ...] = ()
    """What cannot be loaded whatever its code is."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin registered when it was last imported."""

    fingerprint: str
    names: dict[str, tuple[str, ...]]
    """By kind."""
    commands: tuple[LazyCommand, ...] = ()
    """Whole, so that help needs no import."""
    import_ms: float


class _Index(msgspec.Struct, frozen=True):
    format: int
    records: dict[str, Record]


def discover() -> Discovery:
    """Read the entry points of every installed distribution; the first of a name on the path counts."""
    found: dict[str, list[Source]] = {}
    failures: list[PluginError] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            entry_points = [point for point in distribution.entry_points if point.group == GROUP]
        except _DAMAGED as error:
            failures.append(_damaged(distribution, "its entry_points.txt cannot be read", cause=error))
            continue
        if not entry_points:
            continue
        identity = _identity(distribution)
        if identity is None:
            failures.extend(
                _damaged(distribution, "its METADATA gives no name and version", plugin=point.name)
                for point in entry_points
            )
            continue
        name, version = identity
        normal = re.sub(r"[-_.]+", "-", name).lower()
        if normal in seen:
            continue
        seen.add(normal)
        for point in entry_points:
            owner = Owner(point.name, name, version)
            problem = _refused(point.name, point.value, normal)
            if problem is None:
                found.setdefault(point.name, []).append(_source(owner, point.value, distribution))
            else:
                failures.append(_unusable(owner, problem))
    sources: dict[str, Source] = {}
    for plugin, candidates in found.items():
        if len(candidates) == 1:
            sources[plugin] = candidates[0]
        else:
            failures.append(_same_name(plugin, [candidate.owner for candidate in candidates]))
    sources.setdefault(BUILTIN, builtin_source())
    return Discovery(sources=sources, failures=tuple(failures))


def builtin_source() -> Source:
    """Return the core's own plugin, for where no metadata names it."""
    return Source(
        owner=Owner(BUILTIN, _BUILTIN_DISTRIBUTION),
        target=_BUILTIN_TARGET,
        load=lambda: _import(_BUILTIN_TARGET),
    )


def cache_file(environ: Mapping[str, str], *, platform: str = sys.platform) -> Path | None:
    """Return where this environment's index is kept, or None where the user has no place for it."""
    if platform == "win32":
        base = environ.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        base = str(Path(environ["HOME"], "Library", "Caches")) if environ.get("HOME") else ""
    else:
        base = environ.get("XDG_CACHE_HOME", "")
        # The XDG specification tells us to ignore a relative path.
        if not os.path.isabs(base):
            base = str(Path(environ["HOME"], ".cache")) if environ.get("HOME") else ""
    if not base:
        return None
    interpreter = hashlib.sha256(f"{sys.prefix}\0{sys.version}".encode()).hexdigest()[:16]
    return Path(base, "agentkit", f"plugins-{interpreter}.json")


def read_index(file: Path | None) -> dict[str, Record]:
    """Return the records kept between runs; none where there is no file, or one that cannot be used."""
    if file is None:
        return {}
    try:
        index = msgspec.json.decode(file.read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return index.records if index.format == _FORMAT else {}


def write_index(file: Path | None, records: Mapping[str, Record]) -> None:
    """Keep the records for the next run; where that is not possible, the next run makes them again."""
    if file is None:
        return
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.stem, suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            stream.write(msgspec.json.encode(_Index(_FORMAT, dict(records))))
        os.replace(temporary, file)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str] | None:
    try:
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    except _DAMAGED:
        return None
    # Before Python 3.14 a missing field reads as None, whatever the stubs say.
    return (str(name), str(version)) if name and version else None


def _refused(plugin: str, target: str, distribution: str) -> str | None:
    if plugin == BUILTIN and distribution != _BUILTIN_DISTRIBUTION:
        return f"the plugin name `{BUILTIN}` is reserved for {_BUILTIN_DISTRIBUTION}"
    if not is_name(plugin):
        return f"{plugin!r} cannot be a plugin's name: 1 to 64 characters without spaces and colons"
    if _TARGET.fullmatch(target) is None:
        return f"its entry point {target!r} is not of the form `module` or `module:attribute`"
    return None


def _source(owner: Owner, target: str, distribution: importlib.metadata.Distribution) -> Source:
    return Source(
        owner=owner,
        target=target,
        fingerprint=_fingerprint(owner, target, distribution),
        load=lambda: _import(target),
    )


def _import(target: str) -> object:
    match = _TARGET.fullmatch(target)
    if match is None:
        raise ImportError(f"{target!r} is not of the form `module` or `module:attribute`")
    found: object = importlib.import_module(match["module"])
    for part in (match["attribute"] or "").split("."):
        found = getattr(found, part) if part else found
    return found


def _fingerprint(owner: Owner, target: str, distribution: importlib.metadata.Distribution) -> str:
    try:
        texts = [distribution.read_text(name) or "" for name in ("entry_points.txt", "RECORD", "direct_url.json")]
    except _DAMAGED:
        return ""
    _, record, direct_url = texts
    editable = not record or bool(re.search(r'"editable"\s*:\s*true', direct_url))
    digest = hashlib.sha256()
    for part in (sys.version, owner.distribution, owner.version, target, *texts):
        digest.update(part.encode() + b"\0")
    for path in _files(target.partition(":")[0].strip(), every=editable):
        try:
            status = path.stat()
        except OSError:
            continue
        digest.update(f"{path}\0{status.st_mtime_ns}\0{status.st_size}\0".encode())
    return digest.hexdigest()


def _files(module: str, *, every: bool) -> Iterator[Path]:
    """Find a module's files without importing anything, its parents neither."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.origin is not None and os.path.isabs(spec.origin):
        yield Path(spec.origin)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if every:
        yield from _python_files(folders)
    elif rest:
        for folder in folders:
            yield folder.joinpath(*rest).with_suffix(".py")
            yield folder.joinpath(*rest, "__init__.py")


def _python_files(folders: list[Path]) -> Iterator[Path]:
    left = _MAX_FILES
    for folder in folders:
        for parent, children, files in os.walk(folder):
            children[:] = sorted(child for child in children if child.isidentifier() and child != "__pycache__")
            for file in sorted(file for file in files if file.endswith(".py")):
                if left == 0:
                    return
                left -= 1
                yield Path(parent, file)


def _damaged(
    distribution: importlib.metadata.Distribution,
    problem: str,
    *,
    plugin: str | None = None,
    cause: Exception | None = None,
) -> PluginLoadError:
    # `_path` is where the metadata was found; other finders than the file system's have none.
    place = getattr(distribution, "_path", None) or distribution.locate_file("")
    what = f"plugin `{plugin}`" if plugin else "an installed distribution"
    error = PluginLoadError(
        f"{what} is skipped: {problem} ({place})",
        plugin=plugin,
        distribution=Path(str(place)).name,
        hint="install that distribution again, or delete the folder",
    )
    error.__cause__ = cause
    return error


def _unusable(owner: Owner, problem: str) -> PluginLoadError:
    return PluginLoadError(
        f"plugin {owner} is skipped: {problem}",
        plugin=owner.plugin,
        distribution=owner.distribution,
        hint=f"pip uninstall {owner.distribution}",
    )


def _same_name(plugin: str, owners: list[Owner]) -> DuplicateNameError:
    given = " and ".join(f"{owner.distribution} {owner.version}" for owner in owners)
    return DuplicateNameError(
        f"the plugin name `{plugin}` is given by several distributions: {given}; none of them is loaded",
        plugin=plugin,
        distribution=", ".join(owner.distribution for owner in owners),
        hint=f"uninstall all but one, for example: pip uninstall {owners[-1].distribution}",
    )
