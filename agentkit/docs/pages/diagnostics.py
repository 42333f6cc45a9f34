"""``diagnostics.md``: every code of ``agentkit check``, with what gives it and how to mend it."""

import os
from typing import Final

from agentkit.config import Diagnostic
from agentkit.config.build import examine
from agentkit.config.diagnostics import CODES
from agentkit.config.explanations import EXPLANATIONS
from agentkit.docs.pages.writing import fenced, inline, page
from agentkit.plugins import Plugins

_FILE: Final = "agent.yaml"
_GROUPS: Final = {
    "0": "Syntax",
    "1": "Shape",
    "2": "Names and files",
    "3": "Variables and secrets",
    "4": "Combinations",
    "9": "Out of date",
}
"""What the first digit of a code says."""


def diagnostics_page() -> str:
    """Return the page."""
    parts = [
        inline(
            """
            `agentkit check` reports every mistake of a configuration at once, each with a code that keeps its
            meaning. `agentkit check --explain AK101` says in the terminal what is here, `--select` and `--ignore`
            choose codes, and `--fix` mends what can be mended without a question.
            """
        ),
        "\n".join(
            f"- [{title}](#{title.lower().replace(' ', '-')}): {', '.join(_linked(codes))}"
            for title, codes in _by_group().items()
        ),
    ]
    for title, codes in _by_group().items():
        parts.append(f"## {title}")
        for code in codes:
            parts += _section(code)
    return page("Diagnostics", *parts)


def _by_group() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in CODES:
        found.setdefault(_GROUPS[code[2]], []).append(code)
    return found


def _linked(codes: list[str]) -> list[str]:
    return [f"[{code}](#{code.lower()})" for code in codes]


def _section(code: str) -> list[str]:
    explained = EXPLANATIONS[code]
    parts = [f"### {code}", f"**{CODES[code][:1].upper()}{CODES[code][1:]}.** {explained.meaning}"]
    if explained.example:
        parts.append(fenced(explained.example, "yaml"))
        parts += [
            fenced(_shown(each).replace(os.getcwd(), "FOLDER"), "text")
            for each in diagnostics_of(explained.example)
            if each.code == code
        ][:1]
    return [*parts, explained.mend]


def diagnostics_of(text: str) -> tuple[Diagnostic, ...]:
    """Return what is wrong with a text, where only agentkit's own plugin is installed and no variable is set."""
    return examine(_FILE, text=text, environ={}, plugins=Plugins.from_modules({}))[1]


def _shown(found: Diagnostic) -> str:
    line = f"{found.place}: {found.severity}[{found.code}] {found.message}"
    return f"{line}\n  {found.hint}" if found.hint else line
