"""HyperEASE: generated weights, and exact solves around them."""
