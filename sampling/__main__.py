"""`python -m sampling` is the command line."""

import sys

from sampling.cli.main import main

sys.exit(main())
