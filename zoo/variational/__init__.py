"""Models of the variational family."""
