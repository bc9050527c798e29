"""VQ-Rec: items are represented by the codes of their text."""
