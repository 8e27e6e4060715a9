"""`python -m photochrom`."""

import sys

from photochrom.cli.main import main

sys.exit(main())
