"""`python -m gridtone` is the command `gridtone`."""

from gridtone.cli import main

main()
