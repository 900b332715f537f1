"""A network of one's own: from BIDS datasets with label images to a bundle that is used."""
