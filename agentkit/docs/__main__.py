"""Makes the reference pages anew, or tells which are stale.

Run it from a checkout after a command, a key, a code, a hook or a record has changed::

    python -m agentkit.docs            # writes agentkit/docs/reference/*
    python -m agentkit.docs --check    # names the stale ones; exit code 1 if there are any
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from agentkit.docs.pages import PAGES

FOLDER: Final = Path(__file__).with_name("reference")


def stale(folder: Path) -> dict[str, str]:
    """Return the text of each page that is not as the code has it, by its name."""
    found: dict[str, str] = {}
    for name, make in PAGES.items():
        text, file = make(), folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            found[name] = text
    return found


def main(words: list[str] | None = None) -> int:
    """Write the stale pages, or name them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentkit.docs", description="Make the reference pages anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a page is stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are")
    given = parser.parse_args(words)
    pages = stale(given.folder)
    for name, text in pages.items():
        if given.check:
            print(f"{name} is stale: python -m agentkit.docs")
        else:
            given.folder.mkdir(parents=True, exist_ok=True)
            (given.folder / name).write_text(text, encoding="utf-8", newline="\n")
            print(f"{name} is made anew")
    return int(given.check and bool(pages))


if __name__ == "__main__":
    sys.exit(main())
