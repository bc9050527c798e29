"""Collaborative filters on the graph of users and items."""
