"""Hypernetworks: networks that generate the parameters of Flax modules."""
