"""From label maps of real anatomy to simulated Dixon images: training, sample and test data."""
