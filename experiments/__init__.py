"""The experiments: one folder each; scripts are run with `python -m`."""
