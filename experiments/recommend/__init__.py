"""Recommends to a person."""
