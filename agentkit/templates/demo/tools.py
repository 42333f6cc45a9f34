"""The tools of the demonstration."""

import random
from datetime import datetime

from agentkit import tool


@tool(examples=["what time is it?", "what is the time?", "what day is it?"])
def time_now() -> str:
    """Tell the time and the date of this machine."""
    return f"{datetime.now():It is %H:%M on %A, %d %B %Y.}"


@tool(examples=["roll {count} dice", "roll a die", "throw {count} dice"])
def roll_dice(count: int = 1) -> str:
    """Roll dice.

    Args:
        count: How many, up to 20.
    """
    rolled = [random.randint(1, 6) for _ in range(max(1, min(count, 20)))]
    return f"You rolled {' and '.join(map(str, rolled))}."


@tool(examples=["flip a coin", "heads or tails?"])
def flip_coin() -> str:
    """Flip a coin."""
    return f"It is {random.choice(['heads', 'tails'])}."
