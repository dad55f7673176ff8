"""Numbers → tables of strings, and the notes below them."""
