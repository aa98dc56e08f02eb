"""Protocols only: what the product needs from the outside, in its own words."""
