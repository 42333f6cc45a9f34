"""What a response costs: the rates of a model, and the tokens that its server has counted."""

import math
from typing import Annotated, Final, TypeAlias

import msgspec

from agentkit.events import Usage, UsageDetails

_MILLION: Final = 1_000_000
_Rate: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens of a model cost: in US dollars for a session, in any currency for the ``budget`` guard."""

    input: _Rate = 0.0
    """Text and images that the model reads."""
    output: _Rate = 0.0
    """Text that it writes."""
    audio_input: _Rate | None = None
    """Audio that it hears; as ``input`` where it is not said."""
    audio_output: _Rate | None = None
    """Audio that it speaks; as ``output`` where it is not said."""
    cached: _Rate | None = None
    """What it has read before; as ``input`` where it is not said."""
    cached_audio: _Rate | None = None
    """What it has heard before; as ``audio_input`` where it is not said."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            rate = getattr(self, name)
            if rate is not None and not (0 <= rate < math.inf):
                raise ValueError(f"the rate {name} is {rate}, and must be a number from 0 on")

    def cost(self, usage: Usage) -> float:
        """Return what a response cost; tokens of which nobody says what they are, count as the dearest."""
        audio_in = self.input if self.audio_input is None else self.audio_input
        audio_out = self.output if self.audio_output is None else self.audio_output
        cached = self.input if self.cached is None else self.cached
        cached_audio = audio_in if self.cached_audio is None else self.cached_audio
        given, made = usage.input_token_details, usage.output_token_details
        heard, read = _kinds(given)
        spoken, written = _kinds(made)
        again = _count(given.cached_tokens if given is not None else None)
        of_cached = (given.cached_tokens_details if given is not None else None) or {}
        heard_again = min(_count(of_cached.get("audio_tokens")), heard, again)
        read_again = min(again - heard_again, read)
        total = (read - read_again) * self.input + read_again * cached
        total += (heard - heard_again) * audio_in + heard_again * cached_audio
        total += written * self.output + spoken * audio_out
        unknown_in = max(0, _count(usage.input_tokens) - heard - read)
        unknown_out = max(0, _count(usage.output_tokens) - spoken - written)
        return (total + unknown_in * max(self.input, audio_in) + unknown_out * max(self.output, audio_out)) / _MILLION


def _kinds(details: UsageDetails | None) -> tuple[int, int]:
    """Return tokens of audio, and of text and images."""
    if details is None:
        return 0, 0
    return _count(details.audio_tokens), _count(details.text_tokens) + _count(details.image_tokens)


def _count(tokens: int | None) -> int:
    """Return a number of tokens as it counts; nobody gets any back."""
    return max(0, tokens or 0)
