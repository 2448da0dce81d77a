"""The zoo: a file per paper, in a folder per family."""
