"""SASRec on the Amazon 2014 sets, next to the published numbers."""
