"""From a licensed data set on disk to its records: tables, layouts, label maps, identity."""
