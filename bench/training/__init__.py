"""Training of encoders; the only part of the framework that drives a Trainer."""
