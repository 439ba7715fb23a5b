"""The child process that runs one framework, and the parent's end of it."""
