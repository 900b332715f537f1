"""Train networks on simulated legs, and export them as bundles."""
