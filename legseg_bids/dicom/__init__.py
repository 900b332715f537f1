"""From the scanner to BIDS, and back as DICOM segmentations."""
