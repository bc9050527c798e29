"""hyperrec: generated parameters against retraining, measured side by side."""

__version__ = '0.1.0'
