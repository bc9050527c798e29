"""P5: one text-to-text model that is asked by prompts."""
