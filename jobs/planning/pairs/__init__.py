"""Preference pairs: the replies that fine-tunes are taught to prefer, found for a plan."""
