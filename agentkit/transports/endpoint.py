"""What a dial needs to know: where to, as whom, and within which limits."""

from msgspec import Struct, field

from agentkit.transports.redact import safe_url, secrets_of
from agentkit.values import Size, Timeout

MAX_SIZE = 16 * 1024 * 1024
"""Real events are larger than the 1 MiB which WebSocket libraries allow by default."""


class ConnectOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and settings of a WebSocket connection; the defaults fit a voice session."""

    compression: bool = False
    """Offer permessage-deflate. Audio does not compress, so it mostly costs time."""
    proxy: str | bool = True
    """True takes the proxy from the environment, False uses none, a URL is used as it is."""
    ca_file: str | None = None
    """A PEM file of certificate authorities to trust beside those of the system."""
    open_timeout: Timeout = 10.0
    """Seconds for connecting, TLS and the WebSocket handshake together."""
    ping_interval: Timeout | None = 10.0
    """Seconds between keepalive pings; None sends none."""
    ping_timeout: Timeout | None = 5.0
    """Seconds to wait for the answer to a ping."""
    send_timeout: Timeout = 15.0
    """Seconds that a send may block on a peer which does not read, before the connection is given up."""
    close_timeout: Timeout = 2.0
    """Seconds for the closing handshake."""
    max_size: Size = MAX_SIZE
    """The largest event accepted, in bytes, after decompression."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where to dial and what to show there."""

    url: str
    """A ``ws`` or ``wss`` address with its query."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the handshake, the key among them."""
    key_label: str | None = None
    """How a message names the key, for example "OPENAI_API_KEY ending in 1a2b"; never the key itself."""
    model: str | None = None
    """The model asked for."""
    known_models: tuple[str, ...] = ()
    """Names to suggest where the model is refused."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return secrets_of(self.url, self.headers)

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return safe_url(self.url, self.secrets)

    def __repr__(self) -> str:
        return f"Endpoint(url={self.shown!r}, headers={sorted(self.headers)!r}, model={self.model!r})"
