"""Named partial configurations, and the core's own: ``voice`` and ``text``.

Rule: a preset is data. It lies below the files that ask for it, so whatever a file says wins over it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from agentkit.errors import UnknownNameError


class Preset(Struct, frozen=True):
    """A named partial configuration, as YAML text, as a mapping, or as the path of a YAML file."""

    name: str
    """What ``preset:`` says."""
    data: str | Mapping[str, object] | Path
    """The configuration: YAML text, a mapping of the same shape, or a file of the plugin's package."""
    description: str = ""
    """One line for lists."""
    owner: str = ""
    """The distribution that brings it, with its version; filled in by whoever looks presets up."""

    @property
    def label(self) -> str:
        """How messages cite it: ``preset voice (agentkit-realtime 0.1.0)``."""
        return f"preset {self.name} ({self.owner})" if self.owner else f"preset {self.name}"


PresetResolver: TypeAlias = Callable[[str], Preset]
"""Finds a preset by name; raises ``UnknownNameError`` for a name that nobody gives."""


VOICE: Final = Preset(
    "voice",
    """\
provider: {use: openai}
session:
  output: audio
  turn: {mode: server_vad}
""",
    "Speech in and out over OpenAI's Realtime API; the server finds the ends of turns.",
)

TEXT: Final = Preset(
    "text",
    """\
provider: {use: openai}
session:
  output: text
""",
    "Answers as text over OpenAI's Realtime API.",
)

BUILTIN_PRESETS: Final = (VOICE, TEXT)
"""What the core brings itself."""


def find_builtin(name: str) -> Preset:
    """Return one of the core's own presets.

    Raises:
        UnknownNameError: The core has none of that name.
    """
    for preset in BUILTIN_PRESETS:
        if preset.name == name:
            return preset
    known = tuple(preset.name for preset in BUILTIN_PRESETS)
    raise UnknownNameError(f"no preset is called `{name}`", name=name, known=known)
