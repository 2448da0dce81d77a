"""Models of the autoregressive family."""
