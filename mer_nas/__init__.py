"""Architecture search for micro-expression recognition (MER).

The public functions are in `mer_nas.api`. They are not repeated here, because the package `search`
and the module `settings` would take the place of their namesakes as soon as they are imported.
"""

import os
import sys

from mer_nas.privacy import silence

__version__ = "0.1.0"

silence()  # before anything that would report is imported

# The working directory may be somebody's: no program in it is to be run, and no library loaded.
if sys.platform == "win32":
    os.environ["NODEFAULTCURRENTDIRECTORYINEXEPATH"] = "1"
elif sys.platform == "linux":
    # An empty part means it, and cv2 puts its own folder before a list that may be empty.
    _libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    _named = dict.fromkeys(filter(None, [*_libraries, *__path__]))  # a worker's holds ours already
    os.environ["LD_LIBRARY_PATH"] = ":".join(_named)
