"""The control plane: which agents there are, and where they come from."""
