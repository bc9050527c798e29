"""Pure Flax modules and math: no I/O, no knowledge of the other packages."""
