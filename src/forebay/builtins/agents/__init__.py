"""Agents that come with the product."""
