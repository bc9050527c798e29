"""The systems of the comparison: a folder for each family.

A family's mathematics is beside its methods.
"""
