"""Trees of files in official layouts, for all tests of the data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
