"""What adapting costs: operations counted, seconds and memory measured."""
