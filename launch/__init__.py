"""Scripts that run sweeps: on this machine, and elsewhere."""
