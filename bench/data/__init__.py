"""Where rows and training text come from."""
