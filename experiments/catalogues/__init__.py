"""Compositions that are generated, beside those that are tuned."""
