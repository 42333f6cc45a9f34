"""``recording`` becomes a middleware: the recorder of agentkit-realtime-observe, before all others.

Rule: it is found by its name, as every other middleware is; nothing here knows its class.
"""

from typing import Any, Final

import msgspec

from agentkit.config.nodes import MapNode, ScalarNode, find, is_null
from agentkit.config.schema import Recording
from agentkit.config.shape import fields_of
from agentkit.registry import Factory

RECORDER: Final = "recorder"
"""The middleware that ``recording`` stands for."""
SOURCE: Final = "recording:"
"""Where the layer comes from, for who looks at the layers."""


def recording_mode(root: MapNode) -> str | None:
    """Return what ``recording`` says that is recorded, as far as it can be read; None where it says nothing."""
    mode = find(root, ("recording", "mode"))
    return mode.text if isinstance(mode, ScalarNode) and not mode.lost and not is_null(mode) else None


def options_of_recorder(said: Recording, factory: Factory[Any]) -> Any:
    """Return the recorder's options for what a configuration says.

    Raises:
        ValueError: It cannot do what is said; it is another one than agentkit's, or an older one.
    """
    wanted: dict[str, object] = {
        "path": said.path,
        "events": True,
        "audio": said.mode == "events_and_audio",
        "redact": said.redact,
    }
    if said.keep is not None:
        wanted["keep"] = said.keep
    known = fields_of(factory.config) if factory.config is not None else {}
    missing = [name for name in wanted if name not in known]
    if factory.config is None or missing:
        raise ValueError(f"the middleware `{factory.name}` that is installed has no option `{missing[0]}`")
    try:
        return msgspec.convert(wanted, factory.config)
    except msgspec.ValidationError as exc:
        raise ValueError(f"the middleware `{factory.name}` that is installed refuses the options: {exc}") from exc
