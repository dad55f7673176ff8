"""From pieces on disk to rows that are proven complete."""
