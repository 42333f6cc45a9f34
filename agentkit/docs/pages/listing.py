"""Which pages there are."""

from collections.abc import Callable, Mapping
from typing import Final

from agentkit.docs.pages.commands import commands_page
from agentkit.docs.pages.configuration import configuration_page
from agentkit.docs.pages.diagnostics import diagnostics_page
from agentkit.docs.pages.hooks import hooks_page
from agentkit.docs.pages.ndjson import ndjson_page, ndjson_schema

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "configuration.md": configuration_page,
    "diagnostics.md": diagnostics_page,
    "hooks.md": hooks_page,
    "ndjson.md": ndjson_page,
    "ndjson.schema.json": ndjson_schema,
}
"""What makes each file of ``agentkit/docs/reference``."""
