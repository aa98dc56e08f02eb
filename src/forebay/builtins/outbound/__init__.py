"""What the outbound HTTP client is made of. Imports the HTTP library: not before the first call."""
