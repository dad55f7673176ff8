"""What a person types: one file a command, with its options, their help, and its body.

A command's file is light: heavy imports are inside its body, so that ``--help`` answers at once.
What bodies share (``console``, ``submission``), what a pilot does (``pilot``) and what commands
show (``views``) is imported by the bodies that need it.
"""
