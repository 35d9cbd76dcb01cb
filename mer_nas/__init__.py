"""Architecture search for micro-expression recognition (MER)."""

__version__ = "0.1.0"
