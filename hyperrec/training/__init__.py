"""The train step and loop, checkpoints and the run log."""
