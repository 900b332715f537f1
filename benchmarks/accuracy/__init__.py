"""How right the labels are: on simulated people, on real labels, in tables and in figures."""
