"""From a prepared image to muscle labels: locate, cut, infer, restore, merge, clean.

Every module here works on arrays; none reads a dataset. The networks stand behind
:class:`legseg_bids.segment.engines.Engine`, and PyTorch is imported only by its engine.
"""
