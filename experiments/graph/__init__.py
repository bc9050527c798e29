"""Graph filters and DAN against published numbers."""
