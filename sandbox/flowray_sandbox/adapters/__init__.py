"""Nodes of other frameworks, run: which there are, and how lfx's graph gets to see them as components."""
