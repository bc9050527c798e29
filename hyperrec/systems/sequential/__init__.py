"""Sequential recommenders, which predict the next item: SASRec."""
