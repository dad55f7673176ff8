"""LaTeX: escaping, tables, macros."""
