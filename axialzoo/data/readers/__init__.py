"""One format a file. Each says what it looks for, whether it is there, and opens it."""
