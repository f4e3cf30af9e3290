"""``python -m axialzoo``: the command line."""

from axialzoo.cli import main

if __name__ == "__main__":
    main()
