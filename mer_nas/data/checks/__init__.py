"""What can be said of a copy of a data set; nothing here decides a score."""
