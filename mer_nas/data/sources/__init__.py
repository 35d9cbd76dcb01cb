"""Kinds of data: drawn faces, flow images that others computed, and recorded clips."""
