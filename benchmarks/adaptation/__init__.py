"""Real images without labels: do they make a network better that knows simulated legs only."""
