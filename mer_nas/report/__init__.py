"""Reports: what a study found, as one HTML page and one JSON file."""
