"""legseg-bids: labelled leg muscles from Dixon MRI, as a BIDS App."""

__version__ = "0.7.0"
