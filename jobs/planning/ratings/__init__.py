"""Ratings by people: how many are needed, a round's questions and answers, and what follows it."""
