"""The desk: what every dialect calls, and the only place that joins callers, agents and runs."""
