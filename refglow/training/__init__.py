"""Training Glow with refglow's own derivatives."""
