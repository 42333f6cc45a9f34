"""Audio as 16-bit samples, for the voice detector."""

from typing import Final

import numpy as np
import numpy.typing as npt

from agentkit.audio import decode
from agentkit.events import AudioFormat

PCM: Final = AudioFormat(type="audio/pcm", rate=24000)
FORMATS: Final = ("audio/pcm", "audio/pcmu", "audio/pcma")


def to_samples(audio: bytes, format: AudioFormat) -> npt.NDArray[np.int16]:
    """Return the audio as 16-bit samples; half a sample at the end is left out."""
    if format.type == PCM.type:
        audio = audio[: len(audio) // 2 * 2]
    return decode(audio, format)
