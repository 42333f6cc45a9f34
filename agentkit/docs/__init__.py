"""Documents that come with the package: Markdown to read, and the programs in them to run."""

__all__: list[str] = []
