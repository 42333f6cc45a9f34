"""What layers that write things down use, so that a tool's secret arguments are not in them."""

from agentkit.masking import Masker, WireMasker
from agentkit.middleware.base import SessionHandle


def wire_masker(session: SessionHandle, masker: Masker | None = None) -> WireMasker:
    """Return what masks a session's frames, calls and texts; for a layer's ``running``.

    Args:
        session: The layer's session; its tools say which arguments are secret.
        masker: What is secret besides; left out, what the environment holds.
    """
    return WireMasker(lambda: session.secret_arguments, masker)
