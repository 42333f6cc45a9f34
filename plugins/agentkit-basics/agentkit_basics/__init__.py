"""Everyday tools for agentkit: clock, calculator, memory, weather and web pages, a file each."""

from collections.abc import Iterable

from agentkit import Factory, Tool, hookimpl
from agentkit_basics.calculator import calculate
from agentkit_basics.clock import NOW
from agentkit_basics.http_get import HTTP_GET
from agentkit_basics.memory import GET_MEMORY, SET_MEMORY
from agentkit_basics.weather import WEATHER

__all__ = ["register_tools"]


@hookimpl
def register_tools() -> Iterable[Tool[..., object] | Factory[Tool[..., object]]]:
    """Return the tools of this plugin."""
    return [NOW, calculate, SET_MEMORY, GET_MEMORY, WEATHER, HTTP_GET]
