"""What a person types: one file a command, with its options, their help, and its body.

These files are light: heavy imports are inside the bodies, so that ``--help`` answers at once.
"""
