"""Mult-VAE and Mult-DAE."""
