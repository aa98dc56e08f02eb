"""Fault drills: real processes are killed, stopped and cut off, and nothing may be lost by it."""
