"""Networks that were made elsewhere, wrapped into bundles that the application runs.

ONNX files, and result folders of nnU-Net. Nothing here executes what a file holds: ONNX and JSON
are data, and of a checkpoint only tensors and plain values are read.
"""
