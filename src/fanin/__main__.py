"""``python -m fanin``."""

import sys

from fanin.cli.main import main

sys.exit(main())
