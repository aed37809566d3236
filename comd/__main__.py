"""`python -m comd`: the command line."""

from comd.cli import main

main()
