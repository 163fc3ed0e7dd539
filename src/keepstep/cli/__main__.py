"""`python -m keepstep.cli`."""

import sys

from keepstep.cli import main

sys.exit(main())
