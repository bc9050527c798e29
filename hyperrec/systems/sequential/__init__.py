"""Models of the next item: SASRec."""
