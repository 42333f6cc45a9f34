"""Writing a conversation into a file, in the form that the file's ending names; secrets are masked."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from agentkit.cli.exits import Problem
from agentkit.files import replace_file

if TYPE_CHECKING:
    from agentkit.masking import WireMasker
    from agentkit.middleware.base import SessionHandle
    from agentkit.session import Session
    from agentkit.session.snapshot import Snapshot

FORMS: Final = {".md": "markdown", ".txt": "text", ".json": "json", ".vtt": "vtt"}
"""The form of ``Session.history.export`` by the file's ending."""


def form_of(path: Path) -> str:
    """Return the form that a file's ending names.

    Raises:
        Problem: It names none.
    """
    form = FORMS.get(path.suffix.lower())
    if form is not None:
        return form
    if path.suffix.lower() == ".wav":
        raise Problem("--save writes words, not audio", hint="--output F.wav, or --record for both sides")
    raise Problem(f"{path} names no form of a conversation", hint=f"give it one of the endings {', '.join(FORMS)}")


def check_path(path: Path) -> None:
    """Find out before the conversation whether it can be written afterwards.

    Raises:
        Problem: It cannot.
    """
    form_of(path)
    if path.is_dir():
        raise Problem(f"{path} is a directory")
    if not path.parent.is_dir():
        raise Problem(f"there is no directory {path.parent} for {path.name}", hint=f"mkdir -p {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Problem(f"{path} cannot be written: permission denied")


def masked_snapshot(snapshot: "Snapshot", masker: "WireMasker") -> "Snapshot":
    """Return a conversation as it may be written down.

    Args:
        snapshot: The conversation.
        masker: Knows what is secret in it, and learns more.
    """
    from msgspec.structs import replace

    from agentkit.session.snapshot import Snapshot

    # The settings are the configuration's, whatever that says when the conversation is taken up.
    return Snapshot.from_json(masker.frame(replace(snapshot, settings=None).to_json()))


def save(session: "Session", path: Path) -> None:
    """Write a conversation into a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
        Problem: The ending names no form.
    """
    from agentkit.middleware.secrets import wire_masker
    from agentkit.session.export import export

    masker = wire_masker(cast("SessionHandle", session))
    text = export(masked_snapshot(session.snapshot(), masker).entries, form_of(path), names={})
    if path.exists() and not path.is_file():  # a device, or a pipe
        path.write_text(text, encoding="utf-8")
        return
    replace_file(path.resolve(), text.encode())
