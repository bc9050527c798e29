"""Building blocks that are not specific to recommenders."""
