"""Hypernetworks: parameters of any Flax module, written by a network."""
