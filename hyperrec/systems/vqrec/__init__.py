"""VQ-Rec: items known by the codes of their text."""
