"""Answers from a server that speaks the OpenAI-compatible protocol, started by the task or not."""
