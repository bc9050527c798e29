"""Trains and exports a recommender, and recommends with it."""
