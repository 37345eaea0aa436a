"""Maps of vectors: what they are, how they are fitted, and the methods that are one."""
