"""The training itself: batches, loss, steps, checkpoints."""
