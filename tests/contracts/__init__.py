"""Every storage against the contract, and what each database has of its own."""
