"""The verdict: a matrix of methods and data sets, and what follows from it."""
