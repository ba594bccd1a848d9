"""`python -m commentwise`: the command line tool of the checkout or environment it runs in."""

from commentwise.cli import main

if __name__ == "__main__":
    main()
