"""``topic``: words, phrases and patterns that are not talked about."""

import msgspec

from agentkit_guard.places import EVERYWHERE, Where, as_tuple
from agentkit_guard.reacting import Action
from agentkit_guard.rules import LONGEST, rules_for
from agentkit_guard.screening_session import SessionScreening

MESSAGE = "I cannot talk about that."
"""What is said instead, unless the configuration says it."""


class TopicConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``topic`` guard."""

    deny: tuple[str, ...] = ()
    """Words and phrases, whole words only; ``medic*`` means every word that begins so."""
    patterns: tuple[str, ...] = ()
    """Regular expressions, whatever the case."""
    leet: bool = False
    """Whether digits and signs for letters are read as letters: ``b0mb``."""
    longest: int = LONGEST
    """The longest text that a pattern of yours matches; so much of a text that comes in pieces is held back."""
    at: Where | tuple[Where, ...] = EVERYWHERE
    """Whose texts: the user's, the agent's, arguments of calls, results of tools, and what the model is told to be."""
    action: Action = "interrupt"
    """``interrupt``: stop it and say ``message``; ``replace``: put ``replacement`` there; ``warn``: only tell."""
    message: str = MESSAGE
    """What is said instead; it may not hold what is denied."""
    replacement: str = "[removed]"
    """What stands in its place."""

    def __post_init__(self) -> None:
        if not (self.deny or self.patterns):
            raise ValueError("say what is not talked about: deny: [medical], or patterns")
        rules_for(self.deny, self.patterns)


class Topic(SessionScreening):
    """Keep words and phrases out of what is said, asked and done."""

    def __init__(self, config: TopicConfig) -> None:
        """Make the layer."""
        super().__init__(
            rules_for(config.deny, config.patterns, use_leet=config.leet, longest=config.longest),
            at=as_tuple(config.at),
            action=config.action,
            message=config.message,
            replacement=config.replacement,
        )
