"""Graph models: convolutions between users and items."""
