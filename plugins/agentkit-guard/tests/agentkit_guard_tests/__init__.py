"""Tests of agentkit-realtime-guard; a package, so that its modules have names of their own."""
