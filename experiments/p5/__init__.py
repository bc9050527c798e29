"""The experiments with P5, one text-to-text model for many kinds of prompts."""
