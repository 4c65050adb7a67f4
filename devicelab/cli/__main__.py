"""``python -m devicelab.cli`` is ``fer-lab``."""

from devicelab.cli import main

main()
