"""P5: one text-to-text model, asked in prompts."""
