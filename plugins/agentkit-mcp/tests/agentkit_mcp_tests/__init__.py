"""Tests of agentkit-realtime-mcp; a package, so that its fixtures have a name of their own."""
