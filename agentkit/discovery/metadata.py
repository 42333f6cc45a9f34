"""Which plugins are installed, from the metadata of their distributions alone.

A plugin whose distribution needs another agentkit than the one that is installed is found here, too, before its import.

Rule: nothing here imports a plugin but ``Source.load``. Its fingerprint is of the distribution's name, version,
entry points and RECORD, and its module's time and size; of an editable install, those of every Python file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from agentkit.discovery.versions import Requirement, admits, normal_name, read_requirement
from agentkit.errors import DuplicateNameError, PluginError, PluginLoadError
from agentkit.registry import Owner, is_name

GROUP: Final = "agentkit"
"""The entry-point group."""
BUILTIN: Final = "agentkit"
"""The plugin of the core itself; it is always on."""
_BUILTIN_TARGET: Final = "agentkit.builtin"
_BUILTIN_DISTRIBUTION: Final = "agentkit-realtime"
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
    origin: str = ""
    """Where its distribution was installed from, in words; empty where nothing says so."""
    extras: Mapping[str, str] = {}
    """The extra of its distribution that brings a package, by the package's normal name."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata says."""

    sources: Mapping[str, Source]
    """By plugin name."""
    failures: tuple[PluginError, ...] = ()
    """What cannot be loaded whatever its code is."""


class _DirInfo(msgspec.Struct, frozen=True):
    editable: bool = False


class _VcsInfo(msgspec.Struct, frozen=True):
    vcs: str
    commit_id: str = ""


class _DirectUrl(msgspec.Struct, frozen=True):
    url: str
    dir_info: _DirInfo | None = None
    vcs_info: _VcsInfo | None = None


def discover() -> Discovery:
    """Read the entry points of every installed distribution; the first of a name on the path counts."""
    found: dict[str, list[Source]] = {}
    failures: list[PluginError] = []
    seen: set[str] = set()
    own_version = _own_version()
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
        normal = normal_name(name)
        if normal in seen:
            continue
        seen.add(normal)
        requirements = _requirements(distribution)
        needed = _unmet(requirements, own_version)
        for point in entry_points:
            owner = Owner(point.name, name, version)
            problem = _refused(point.name, point.value, normal)
            if problem is not None:
                failures.append(_unusable(owner, problem))
            elif needed is not None:
                failures.append(_needs_another(owner, needed, own_version))
            else:
                found.setdefault(point.name, []).append(_source(owner, point.value, distribution, requirements))
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


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str] | None:
    try:
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    except _DAMAGED:
        return None
    # Before Python 3.14 a missing field reads as None, whatever the stubs say.
    return (str(name), str(version)) if name and version else None


def _own_version() -> str | None:
    """Return the version of the installed agentkit; None where it is not installed, as in a bare source tree."""
    try:
        return importlib.metadata.version(_BUILTIN_DISTRIBUTION)
    except (importlib.metadata.PackageNotFoundError, *_DAMAGED):
        return None


def _requirements(distribution: importlib.metadata.Distribution) -> list[Requirement]:
    try:
        lines = distribution.requires or []
    except _DAMAGED:
        return []
    return [requirement for line in lines if (requirement := read_requirement(line)) is not None]


def _unmet(requirements: list[Requirement], version: str | None) -> str | None:
    """Return the versions of agentkit that are needed where this one is none of them.

    A requirement with a condition (``; python_version < "3.12"``) is left to the installer.
    """
    for requirement in requirements:
        own = requirement.name == _BUILTIN_DISTRIBUTION and not requirement.marker
        if own and version is not None and admits(requirement.specifier, version) is False:
            return requirement.specifier
    return None


def _refused(plugin: str, target: str, distribution: str) -> str | None:
    if plugin == BUILTIN and distribution != _BUILTIN_DISTRIBUTION:
        return f"the plugin name `{BUILTIN}` is reserved for {_BUILTIN_DISTRIBUTION}"
    if not is_name(plugin):
        return f"{plugin!r} cannot be a plugin's name: 1 to 64 characters without spaces and colons"
    if _TARGET.fullmatch(target) is None:
        return f"its entry point {target!r} is not of the form `module` or `module:attribute`"
    return None


def _source(
    owner: Owner,
    target: str,
    distribution: importlib.metadata.Distribution,
    requirements: list[Requirement],
) -> Source:
    return Source(
        owner=owner,
        target=target,
        fingerprint=_fingerprint(owner, target, distribution),
        load=lambda: _import(target),
        origin=_origin(distribution),
        extras=_extras(requirements),
    )


def _extras(requirements: list[Requirement]) -> dict[str, str]:
    always = {requirement.name for requirement in requirements if not requirement.marker}
    return {each.name: each.extra for each in requirements if each.extra and each.name not in always}


def _origin(distribution: importlib.metadata.Distribution) -> str:
    """Say where a distribution was installed from (PEP 610), without the credentials that a URL may have."""
    try:
        text = distribution.read_text("direct_url.json")
        installer = distribution.read_text("INSTALLER")
        said = msgspec.json.decode(text, type=_DirectUrl) if text else None
        parts = urlsplit(said.url) if said is not None else None
    except (*_DAMAGED, msgspec.MsgspecError):
        return ""
    if said is None or parts is None:
        return "a package index" if installer else ""
    if parts.scheme == "file":
        place = unquote(parts.path)
    else:
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if said.dir_info is not None and said.dir_info.editable:
        return f"{place} (editable)"
    if said.vcs_info is not None:
        return f"{said.vcs_info.vcs} {place} at {said.vcs_info.commit_id[:12]}"
    return place


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


def _needs_another(owner: Owner, needed: str, version: str | None) -> PluginLoadError:
    return PluginLoadError(
        f"plugin {owner} is skipped: it needs {_BUILTIN_DISTRIBUTION} {needed}, and this is {version}",
        plugin=owner.plugin,
        distribution=owner.distribution,
        hint=f"pip install --upgrade {_BUILTIN_DISTRIBUTION} {owner.distribution}",
    )


def _same_name(plugin: str, owners: list[Owner]) -> DuplicateNameError:
    given = " and ".join(f"{owner.distribution} {owner.version}" for owner in owners)
    return DuplicateNameError(
        f"the plugin name `{plugin}` is given by several distributions: {given}; none of them is loaded",
        plugin=plugin,
        distribution=", ".join(owner.distribution for owner in owners),
        hint=f"uninstall all but one, for example: pip uninstall {owners[-1].distribution}",
    )
