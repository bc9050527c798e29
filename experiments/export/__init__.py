"""Train a recommender, write it, and ask it."""
