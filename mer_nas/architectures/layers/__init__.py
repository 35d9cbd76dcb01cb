"""Modules of torch that know no configuration, under the names of their papers."""
