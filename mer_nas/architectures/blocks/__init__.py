"""What may stand in the slots of an architecture, a slot a file, by the name that it has in YAML.

`base` says what a block is. A block is configuration; modules of a few lines stand beside it,
those that are of use alone in `mer_nas.architectures.layers`.
"""
