"""The recommender for your own data: advise, fit, recommend, interview."""
