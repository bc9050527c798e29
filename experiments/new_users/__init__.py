"""New users: corrections that are generated from a few shown items."""
