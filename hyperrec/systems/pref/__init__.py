"""PReF: a few coefficients for each user, inferred from answers."""
