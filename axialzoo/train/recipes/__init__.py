"""One recipe a file: its docstring says the command, the duration and the accuracy to expect."""
