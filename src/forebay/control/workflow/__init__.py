"""Workflow files: read with their places, checked as a whole, and built into what can be run."""
