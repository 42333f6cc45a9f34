"""Keys that are in force only where a package is installed: which, and what is said where it is not.

Rule: it reads nodes, not values, so what is missing is said beside every other mistake.
"""

from typing import NamedTuple

from agentkit.config.diagnostics import Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.nodes import KeyPath, MapNode, Node, ScalarNode, find, is_null
from agentkit.config.recording import RECORDER, recording_mode
from agentkit.distributions import AUDIO, GUARD, OBSERVE, SERVE
from agentkit.errors import PluginError
from agentkit.plugins import Plugins


class _Need(NamedTuple):
    """A key that needs a package."""

    path: KeyPath
    distribution: str
    way_out: str = ""
    """How to go on without the package, behind a comma."""


def check_needs(draft: Draft, plugins: Plugins, *, embedding: bool = False) -> list[Diagnostic]:
    """Return a problem for each key that needs a package which is not installed, or not allowed.

    Args:
        draft: The file.
        plugins: The plugins that it may use.
        embedding: Leave out what only the command line reads.
    """
    needs = [] if embedding else _of_command_line(draft.root)
    needs += _of_recording(draft.root, plugins)
    return [problem for need in needs if (problem := _problem(draft, plugins, need)) is not None]


def _of_command_line(root: MapNode) -> list[_Need]:
    wanted = (("audio", AUDIO), ("serve", SERVE))
    return [_Need((key,), package) for key, package in wanted if _is_said(root.get(key))]


def _of_recording(root: MapNode, plugins: Plugins) -> list[_Need]:
    if recording_mode(root) in (None, "none"):
        return []
    needs = []
    if not any(name.rpartition(":")[2] == RECORDER for name in plugins.names("middleware")):
        needs.append(_Need(("recording",), OBSERVE))
    redact = find(root, ("recording", "redact"))
    if not (isinstance(redact, ScalarNode) and redact.text.lower() == "false"):
        path = ("recording", "redact") if _is_said(redact) else ("recording",)
        needs.append(_Need(path, GUARD, ", or write `redact: false`"))
    return needs


def _is_said(node: Node | None) -> bool:
    return node is not None and not is_null(node)


def _problem(draft: Draft, plugins: Plugins, need: _Need) -> Diagnostic | None:
    path, package, way_out = need
    rows = [row for row in plugins.report() if row.distribution == package]
    if any(row.state in ("loaded", "not imported") for row in rows):
        return None
    key = f"`{path[-1]}` {'masks texts by' if package == GUARD else 'needs'} the package {package}"
    if not rows:
        message, hint = f"{key}, which is not installed", f"pip install {package}"
    elif rows[0].state == "failed":
        message, hint = f"{key}, which cannot be loaded: {rows[0].problem}", rows[0].hint or "agentkit plugins"
    else:
        message, hint = f"{key}, whose plugin `{rows[0].name}` is switched off", _allowing(rows[0].name, plugins)
    return draft.problem("AK209", message, *path, hint=f"{hint}{way_out}", on_key=True)


def _allowing(name: str, plugins: Plugins) -> str:
    """Return how a plugin that is switched off is switched on; it is not imported."""
    try:
        plugins.load(name)
    except PluginError as exc:
        return exc.hint or "agentkit plugins"
    raise AssertionError("a plugin that is switched off is not loaded")
