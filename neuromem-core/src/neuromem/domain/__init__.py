"""Value objects, without I/O: what the rooms of neuromem hand to each other."""
