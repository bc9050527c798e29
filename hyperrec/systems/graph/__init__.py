"""Graph models: filters and convolutions between users and items."""
