"""What comes with the product: implementations of its own ports."""
