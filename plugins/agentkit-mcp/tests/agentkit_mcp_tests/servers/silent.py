"""A program that says nothing."""

import sys

sys.stdin.read()
