"""Trains the generators of items and of users in a larger form."""
