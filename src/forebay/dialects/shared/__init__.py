"""Paths that several dialects have in common, each with one owner."""
