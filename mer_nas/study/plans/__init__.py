"""What a command will do and how long it will take, before it does it: a file for each."""
