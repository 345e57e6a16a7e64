"""Findings, the replica, questions by reader: the page as an immutable document."""
