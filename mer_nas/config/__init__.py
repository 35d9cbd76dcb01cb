"""Presets, overrides and validation: how YAML and `key=value` words become typed settings."""
