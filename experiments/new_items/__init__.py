"""New items in a live catalogue: who ranks them best, and at what cost."""
