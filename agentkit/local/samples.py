"""Audio as 16-bit samples, for the voice detector."""

from typing import Final

import numpy as np
import numpy.typing as npt

from agentkit.events import AudioFormat

PCM: Final = AudioFormat(type="audio/pcm", rate=24000)
FORMATS: Final = ("audio/pcm", "audio/pcmu", "audio/pcma")


def _ulaw_table() -> npt.NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _alaw_table() -> npt.NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent > 0, (magnitude + 0x100) << np.maximum(exponent - 1, 0), magnitude)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES: Final = {"audio/pcmu": _ulaw_table(), "audio/pcma": _alaw_table()}


def to_samples(audio: bytes, format: AudioFormat) -> npt.NDArray[np.int16]:
    """Return the audio as 16-bit samples; half a sample at the end is left out."""
    table = _TABLES.get(format.type)
    if table is not None:
        return table[np.frombuffer(audio, dtype=np.uint8)]
    return np.frombuffer(audio, dtype="<i2", count=len(audio) // 2).astype(np.int16)
