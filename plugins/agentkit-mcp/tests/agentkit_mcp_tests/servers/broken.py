"""A server that cannot start."""

raise SystemExit("no module named 'notebook'")
