"""Scripts: one folder an experiment, run with `python -m`."""
