"""How good a result is: metrics that compare label images."""
