"""The desk: a web application on this machine alone, for those who prefer windows."""
