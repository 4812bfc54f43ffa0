"""The outputs of commands and of their runs: what stands there, what is left to do, and where the unfinished lies."""
