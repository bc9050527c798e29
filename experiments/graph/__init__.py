"""EASE and its relatives against published tables."""
