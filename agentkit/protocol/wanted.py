"""One response, from being wanted to being done: what the arbiter keeps of it and of the turns that it serves."""

from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import ResponseCreate, ResponseSettings
from agentkit.protocol.effects import Effect, TurnEnded
from agentkit.protocol.turns import TurnState

CORRELATION = "agentkit_id"
"""Key of ``metadata`` by which responses beside the conversation are recognised."""

PAIRS, KEY_CHARS, VALUE_CHARS = 16, 64, 512
"""The limits of metadata. Source: the API's ``Metadata`` type."""


class Wanted:
    """A response that somebody wants."""

    __slots__ = ("automatic", "cancelled", "event", "refusals", "token", "turns")

    def __init__(self, event: ResponseCreate | None, turns: list[TurnState], *, automatic: bool = False) -> None:
        self.event = event
        """Passed the layers already; None for one that need not be asked for unless the server makes none itself."""
        self.token = (event.event_id if event is not None else None) or ""
        """The create's event id."""
        self.turns = turns
        self.automatic = automatic
        """Whether only the outputs of tools or a retry ask for it, nobody else."""
        self.cancelled = False
        """Whether it is to be stopped as soon as the server has begun it."""
        self.refusals = 0

    @property
    def plain(self) -> bool:
        """Whether it overrides nothing, so that one response can serve several."""
        return self.event is None or self.event.response is None

    @property
    def serves_others(self) -> bool:
        """Whether, once sent, it can be what somebody else asks for."""
        return self.plain and self.automatic and not self.cancelled

    def correlated(self) -> ResponseCreate:
        """Return the create of a response beside the conversation, with what its answer is recognised by."""
        assert self.event is not None
        assert self.event.response is not None
        metadata = self.event.response.metadata
        metadata = {**(metadata if isinstance(metadata, dict) else {}), CORRELATION: self.token}
        return replace(self.event, response=replace(self.event.response, metadata=metadata))

    def join(self, other: "Wanted") -> None:
        """Serve what another wanted as well."""
        hold(self.turns, other.turns)
        self.automatic = self.automatic and other.automatic


class ActiveResponse:
    """A response that the server has begun."""

    __slots__ = (
        "alive",
        "beside",
        "calls",
        "cancel_sent",
        "cancelling",
        "deltas",
        "done",
        "id",
        "interrupted",
        "item_ids",
        "output_begun",
        "outstanding",
        "silent",
        "speaks",
        "status",
        "turns",
        "waiting_calls",
        "wanted",
    )

    def __init__(
        self, response_id: str, turns: list[TurnState], wanted: Wanted | None, *, beside: bool = False
    ) -> None:
        self.id = response_id
        self.turns = turns
        self.wanted = wanted
        """Our create that it answers; None for one that the server made by itself."""
        self.beside = beside
        """Whether it is outside the conversation."""
        self.alive = True
        """Whether the server said anything of it lately."""
        self.cancelling = False
        """Whether we have asked, or are about to ask, to stop it."""
        self.cancel_sent = False
        self.interrupted = False
        """Whether the user speaks over it and the server is going to stop it."""
        self.done = False
        self.status: str | None = None
        self.output_begun = False
        """Whether its turns were told of its first output."""
        self.calls = 0
        """Outputs delivered that a response is to speak of."""
        self.speaks = False
        """Whether one of them does not wait for the others."""
        self.outstanding: set[str] = set()
        """Call ids whose outputs are due."""
        self.waiting_calls: list[str] = []
        """Call ids that start only if the server does not stop the response after all."""
        self.silent = False
        """Whether the outputs of its calls start no further response."""
        self.item_ids: list[str] = []
        self.deltas: list[str] = []
        """Text of a response beside the conversation, whose items are not mirrored."""

    @property
    def stopping(self) -> bool:
        """Whether what still comes of it is not to be heard."""
        return self.cancelling or self.interrupted

    def serve(self, turns: list[TurnState]) -> None:
        """Be the answer to further turns."""
        hold(self.turns, turns)
        self.output_begun = False


def hold(turns: list[TurnState], further: Iterable[TurnState]) -> None:
    """Add turns; one that is among them already is in one hand less."""
    for turn in further:
        if turn in turns:
            turn.shares -= 1
        else:
            turns.append(turn)


def check_metadata(settings: ResponseSettings | None) -> None:
    """Check a response's metadata against the protocol's limits.

    Raises:
        LocalProtocolError: It has too many pairs, or one that is too long.
    """
    metadata = settings.metadata if settings is not None else None
    if not isinstance(metadata, dict):
        return
    pairs = PAIRS - 1 if is_beside(settings) else PAIRS  # one is ours, to recognise the answer by
    if len(metadata) > pairs:
        raise LocalProtocolError(f"metadata has {len(metadata)} pairs; a response may have {pairs}")
    for key, value in metadata.items():
        if len(key) > KEY_CHARS or len(str(value)) > VALUE_CHARS:
            raise LocalProtocolError(
                f"metadata {key[:KEY_CHARS]!r} is too long: at most {KEY_CHARS} characters, its value {VALUE_CHARS}"
            )


def is_beside(settings: ResponseSettings | None) -> bool:
    """Tell whether a response is asked for outside the conversation."""
    return settings is not None and settings.conversation not in (UNSET, None, "auto")


def let_go(turns: Iterable[TurnState], error: AgentkitError | None = None) -> list[Effect]:
    """End turns for which no response is wanted any more."""
    effects: list[Effect] = []
    for turn in turns:
        if error is not None:
            turn.status, turn.error = "failed", error
        effects += _ended(turn)
    return effects


def cancelled(turns: Iterable[TurnState]) -> list[Effect]:
    """End turns that the user has cut short."""
    effects: list[Effect] = []
    for turn in turns:
        turn.status = "cancelled"
        effects += _ended(turn)
    return effects


def _ended(turn: TurnState) -> list[Effect]:
    """End a turn, unless others hold it."""
    if turn.shares:
        turn.shares -= 1
        return []
    return [TurnEnded(turn)]
