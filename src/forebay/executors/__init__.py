"""Where runs are executed. Each executor decides only that; how is the business of `runs`."""
