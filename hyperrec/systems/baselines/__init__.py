"""Baselines: popularity and two towers."""
