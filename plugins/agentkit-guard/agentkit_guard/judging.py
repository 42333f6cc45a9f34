"""What ``gate``, ``hold`` and ``check`` ask whether a text may pass: rules, a function of yours, a model.

Rule: whatever goes wrong with a check, its text does not pass.
"""

import importlib
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias, cast
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec

from agentkit import Secret, Timeout
from agentkit_guard.places import Where
from agentkit_guard.rules import LONGEST, Screen, rules_for

PROMPT: Final = "You decide whether a text may pass. Nothing that is harmful or illegal may."
"""What the model is told to look for, unless the configuration says it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Why a text may not pass."""

    reason: str
    """For the person who reads the notices."""
    message: str | None = None
    """What is said instead; None says what the guard's configuration says."""


Answer: TypeAlias = Verdict | str | None
"""What a check returns: None lets the text pass, a text is the reason why not."""
Check: TypeAlias = Callable[[str, str], Answer | Awaitable[Answer]]
"""A check of your own: it takes a text and whose it is."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A model that decides."""

    url: str
    """Its chat completions endpoint, as ``http://127.0.0.1:11434/v1/chat/completions``."""
    model: str
    """Its name."""
    key: Secret | None = None
    """The key that goes along as a bearer token."""
    prompt: str = PROMPT
    """What may not pass, in words."""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"the url {self.url!r} is not an http or https address")


class ChecksConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gate`` and ``hold`` look for."""

    deny: tuple[str, ...] = ()
    """Words and phrases that may not pass, whole words only; ``medic*`` means every word that begins so."""
    patterns: tuple[str, ...] = ()
    """Regular expressions that may not match, whatever the case."""
    leet: bool = False
    """Whether digits and signs for letters are read as letters: ``b0mb``."""
    longest: int = LONGEST
    """The longest text that a pattern of yours matches."""
    python: str | None = None
    """A function that decides, ``package.module:function``, as for ``check``."""
    model: ModelConfig | None = None
    """A model that decides, as for ``check``."""
    check_timeout: Timeout = 5.0
    """How long a function or a model may take; after that the text does not pass."""

    def __post_init__(self) -> None:
        if not (self.deny or self.patterns or self.python or self.model):
            raise ValueError("say what may not pass: deny, patterns, python or model")
        rules_for(self.deny, self.patterns)


class Judge:
    """Decides on one text at a time."""

    def __init__(self, config: ChecksConfig) -> None:
        """Make it.

        Raises:
            ValueError: The function cannot be found, or a rule is none.
        """
        detectors = rules_for(config.deny, config.patterns, use_leet=config.leet, longest=config.longest)
        self.screen = Screen(detectors, cut=True)
        self._function = load_check(config.python) if config.python is not None else None
        self._model = config.model
        self._timeout = config.check_timeout

    @property
    def decides_at_once(self) -> bool:
        """Whether rules alone decide, so that nobody has to wait."""
        return self._function is None and self._model is None

    def at_once(self, text: str) -> Verdict | None:
        """Return what the rules alone say."""
        kind = self.screen.finds(text)
        return Verdict(reason="it holds what is denied") if kind is not None else None

    async def verdict(self, text: str, where: Where) -> Verdict | None:
        """Return why a text may not pass; None where it may."""
        verdict = self.at_once(text)
        if verdict is not None or self.decides_at_once or not text.strip():
            return verdict
        try:
            with anyio.fail_after(self._timeout):
                if self._function is not None:
                    verdict = _as_verdict(await _ask(self._function, text, where))
                if verdict is None and self._model is not None:
                    from agentkit_guard.asking import ask_model  # an HTTP client, which rules do not need

                    verdict = await anyio.to_thread.run_sync(
                        partial(ask_model, self._model, text, where, self._timeout), abandon_on_cancel=True
                    )
        except TimeoutError:
            return Verdict(reason=f"the check did not decide within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001  # isolation boundary: a check that fails must not let its text pass
            return Verdict(reason=f"the check failed: {type(error).__name__}: {error}")
        return verdict


async def _ask(function: Check, text: str, where: str) -> Answer:
    if inspect.iscoroutinefunction(function):
        return cast("Answer", await function(text, where))
    answer = await anyio.to_thread.run_sync(function, text, where, abandon_on_cancel=True)
    return await answer if inspect.isawaitable(answer) else answer


def _as_verdict(answer: object) -> Verdict | None:
    if answer is None or isinstance(answer, Verdict):
        return answer
    if isinstance(answer, str):
        return Verdict(reason=answer or "it was refused")
    raise TypeError(f"a check returns None, a text or a Verdict, not {type(answer).__name__}")


def load_check(name: str) -> Check:
    """Return a function by its name.

    Raises:
        ValueError: There is none.
    """
    module, colon, function = name.partition(":")
    if not colon or not module or not function or module.startswith("."):
        raise ValueError(f"python is {name!r}, and must be package.module:function")
    try:
        found: object = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise ValueError(f"the module {module} of the check {name!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ValueError(f"the module {module} has no {function!r}, which {name!r} names") from error
    if not callable(found):
        raise ValueError(f"{name!r} is no function")
    return cast("Check", found)
