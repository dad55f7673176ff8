"""Answers that were made elsewhere: by people, by an API, by another harness."""
