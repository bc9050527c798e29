"""PReF: questions instead of new weights."""
