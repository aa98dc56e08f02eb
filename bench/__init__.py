"""The benchmark program: our server and the ceilings side by side, as ratios of one run."""
