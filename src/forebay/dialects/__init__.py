"""One package for each wire. None imports another; all call the desk."""
