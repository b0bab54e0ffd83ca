"""`python -m belvedere` is the command `belvedere`."""

from .cli import main

if __name__ == "__main__":
    main()
