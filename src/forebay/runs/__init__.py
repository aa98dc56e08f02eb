"""Runs: admitting them, executing them, recording and following their log, ending them all."""
