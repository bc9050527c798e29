"""Interactions, their sources, splits and item features."""
