"""``python -m daystore.cli`` is ``daystore``."""

import sys

from daystore.cli import main

sys.exit(main())
