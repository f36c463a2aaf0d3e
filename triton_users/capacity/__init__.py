"""The highest load at which limits hold: which level comes next, what one came to, the answer. Pure functions."""
