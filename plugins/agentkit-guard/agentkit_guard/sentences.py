"""Where sentences end, as far as that can be told while a text still grows."""

import re
from typing import Final

_END: Final = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?:\s+|\Z)|[\u3002\uff01\uff1f\u0964\u06d4]\s*|\n\s*")


def last_end(text: str) -> int:
    """Return where the last sentence ends, the space after it included; 0 where none does."""
    end = 0
    for found in _END.finditer(text):
        end = found.end()
    return end
