"""P5: one text-to-text model that does every task from a prompt."""
