"""Published experiments, repeated on simulated people: one command each, one page each."""
