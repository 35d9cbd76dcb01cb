"""The verbs of the command line; the name of a module is the verb."""
