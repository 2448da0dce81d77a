"""TF-Lite files: one file with a signature for each endpoint that draws no random numbers."""
