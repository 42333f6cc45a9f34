"""Configuration: YAML text becomes checked Structs, and every value knows where it is written.

The way in is ``load_config``. ``agentkit.config.build``, the composition root, resolves the names of plugins.
Names load on first use, so that what needs no YAML reader imports none.
"""

from typing import TYPE_CHECKING, Final

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.config.diagnostics import CODES, ConfigErrors, Diagnostic, summary
    from agentkit.config.loaded import Loaded, diagnose, load_config
    from agentkit.config.nodes import Block, Place
    from agentkit.config.rendering import render_concise, render_full, render_github, render_json
    from agentkit.config.schema import Config

__all__ = [
    "CODES",
    "Block",
    "Config",
    "ConfigErrors",
    "Diagnostic",
    "Loaded",
    "Place",
    "diagnose",
    "load_config",
    "render_concise",
    "render_full",
    "render_github",
    "render_json",
    "summary",
]

_HOMES: Final = {
    "diagnostics": ("CODES", "ConfigErrors", "Diagnostic", "summary"),
    "loaded": ("Loaded", "diagnose", "load_config"),
    "nodes": ("Block", "Place"),
    "rendering": ("render_concise", "render_full", "render_github", "render_json"),
    "schema": ("Config",),
}

__getattr__, __dir__ = _names_from(__name__, _HOMES)
