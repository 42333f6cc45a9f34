"""``redact``: cards, addresses, keys and patterns of your own never reach who should not see them."""

import msgspec

from agentkit_guard.kinds import KINDS, Kind
from agentkit_guard.places import EVERYWHERE, Where, as_tuple
from agentkit_guard.reacting import Action
from agentkit_guard.rules import LONGEST, Detector, Pattern
from agentkit_guard.screening_session import SessionScreening


class RedactConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``redact`` guard."""

    kinds: tuple[Kind, ...] = ()
    """What is known by its form: ``card`` and ``iban`` with right check digits, ``key`` of well-known services."""
    pattern: str | None = None
    """A regular expression of your own."""
    patterns: tuple[str, ...] = ()
    """Several regular expressions of your own."""
    longest: int = LONGEST
    """The longest text that a pattern of yours matches; so much of a text that comes in pieces is held back."""
    at: Where | tuple[Where, ...] = EVERYWHERE
    """Whose texts: the user's, the agent's, arguments of calls, results of tools, and what the model is told to be."""
    action: Action = "replace"
    """``replace``: mask it; ``interrupt``: stop it and say ``message``; ``warn``: let it through and tell."""
    replacement: str = "[{kind}]"
    """What stands in its place; ``{kind}`` says what it was."""
    message: str | None = None
    """What is said where the action is to interrupt."""

    def __post_init__(self) -> None:
        if not (self.kinds or self.pattern or self.patterns):
            raise ValueError("say what is redacted: kinds: [card, email], or a pattern")
        if self.longest < 1:
            raise ValueError(f"longest is {self.longest}, and must be 1 or more")
        detectors_of(self)


def detectors_of(config: RedactConfig) -> list[Detector]:
    """Return what is looked for.

    Raises:
        ValueError: A pattern is none.
    """
    own = (config.pattern, *config.patterns) if config.pattern is not None else config.patterns
    found: list[Detector] = [KINDS[kind]() for kind in config.kinds]
    return found + [Pattern(pattern, longest=config.longest) for pattern in own]


class Redact(SessionScreening):
    """Mask what is secret by its form, on both ways."""

    def __init__(self, config: RedactConfig) -> None:
        """Make the layer."""
        super().__init__(
            detectors_of(config),
            at=as_tuple(config.at),
            action=config.action,
            message=config.message,
            replacement=config.replacement,
        )
