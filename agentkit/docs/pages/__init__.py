"""The reference pages, each made from the code that it tells of.

Rule: a page is the same on every machine: it shows nothing of what is installed, or where.
"""

from agentkit.docs.pages.listing import PAGES

__all__ = ["PAGES"]
