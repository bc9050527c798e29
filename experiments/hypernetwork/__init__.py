"""Quality of generated parameters, and the cost of generating them."""
