"""What generated parameters are worth, and what generating them costs."""
