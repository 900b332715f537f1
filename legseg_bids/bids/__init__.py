"""What goes in and what comes out: discovery, reading, names, sidecars, writing, validation.

Nothing is imported here: pybids and nibabel cost time that ``--help`` must not pay. The way
through the room is ``dataset.index`` → ``discover.discover`` → ``reading.read_image`` → …
→ ``derivative.write_station``.
"""
