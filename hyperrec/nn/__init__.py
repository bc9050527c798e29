"""Building blocks of networks, without a recommender in them."""
