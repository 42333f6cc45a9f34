"""Which plugins are installed, found without importing one, and the index of their names kept between runs."""

from agentkit.discovery.index import Record, cache_file, read_index, write_index
from agentkit.discovery.metadata import BUILTIN, GROUP, Discovery, Source, builtin_source, discover
from agentkit.discovery.versions import Requirement, admits, normal_name, read_requirement

__all__ = [
    "BUILTIN",
    "GROUP",
    "Discovery",
    "Record",
    "Requirement",
    "Source",
    "admits",
    "builtin_source",
    "cache_file",
    "discover",
    "normal_name",
    "read_index",
    "read_requirement",
    "write_index",
]
