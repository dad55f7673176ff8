"""What a person runs; the only package that imports the other three."""
