"""Models of the adversarial family."""
