"""Training one network on the clips of one fold."""
