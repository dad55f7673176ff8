"""From examples to training rows: selected, encoded, frozen."""
