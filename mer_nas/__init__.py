"""Architecture search for micro-expression recognition (MER).

The public functions are in `mer_nas.api`. They are not repeated here, because the package `search`
and the module `settings` would take the place of their namesakes as soon as they are imported.
"""

import os

from mer_nas.privacy import silence

__version__ = "0.1.0"

silence()  # before anything that would report is imported
# Windows else looks for a program in the working directory first, which may be somebody's.
os.environ["NODEFAULTCURRENTDIRECTORYINEXEPATH"] = "1"
