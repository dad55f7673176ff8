"""Prompt refinement: its settings, each step's configuration, and its looks at the test rows."""
