"""The JSON Schema of a configuration, draft-07, for editors: the file's own shape and what every plugin brings.

Rule: it is walked from the classes that the reader walks, so a new key is in it by itself. It takes what ``check`` can
take: where a variable, a preset or another file decides, it says nothing.
"""

from agentkit.config.json_schema.document import json_schema
from agentkit.config.json_schema.files import SCHEMA_FILE, is_stale, schema_text, write_schema

__all__ = ["SCHEMA_FILE", "is_stale", "json_schema", "schema_text", "write_schema"]
