"""The experiments with VQ-Rec: all arms of its table, on small targets."""
