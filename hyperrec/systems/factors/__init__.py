"""Factor models: users and items as vectors, scores as their products."""
