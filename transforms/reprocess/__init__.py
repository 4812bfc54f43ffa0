"""Other datasets of finished ones, and photos that leave them."""
