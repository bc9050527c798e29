"""VQ-Rec: every arm of its table on small targets."""
