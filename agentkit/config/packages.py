"""Which package brings a first-party name, for who has not installed it.

Rule: a table of the core's own siblings, and nothing that asks a network.
"""

from collections.abc import Mapping
from typing import Final

from agentkit.distributions import BASICS, GUARD, MCP, OBSERVE
from agentkit.errors import UnknownNameError
from agentkit.plugins import Plugins
from agentkit.registry import Kind, nearest

PACKAGES: Final[Mapping[Kind, Mapping[str, str]]] = {
    "tools": {
        **dict.fromkeys(("now", "calculate", "set_memory", "get_memory", "weather", "http-get"), BASICS),
        "mcp": MCP,
    },
    "middleware": {
        **dict.fromkeys(("redact", "topic", "gate", "hold", "tool-policy", "budget", "check"), GUARD),
        **dict.fromkeys(("transcript", "recorder", "otel", "watchdog"), OBSERVE),
    },
}
"""The packages of first-party names, by kind and name."""


def install_hint(error: UnknownNameError, kind: Kind, plugins: Plugins) -> str | None:
    """Say which package brings a name that nobody gives; None where none is known, or it is installed."""
    if error.hint is not None:
        return None
    known = PACKAGES.get(kind, {})
    name = error.name.rpartition(":")[2]
    if name in known:
        package, hint = known[name], f"pip install {known[name]}"
    elif not nearest(name, error.known) and (near := nearest(name, known)):
        package, hint = known[near[0]], f"did you mean `{near[0]}`? pip install {known[near[0]]}"
    else:
        return None
    return None if any(row.distribution == package for row in plugins.report()) else hint
