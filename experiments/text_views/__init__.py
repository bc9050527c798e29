"""Which views of the items' text a kernel should read."""
