"""The words of the product: events, runs, errors, ids, time. Pure; imports nothing of the rest."""
