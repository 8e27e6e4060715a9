"""`python -m photochrom`."""

import sys

from photochrom.cli import main

sys.exit(main())
