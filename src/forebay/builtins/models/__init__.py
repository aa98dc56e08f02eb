"""Models of providers: how each is spoken to, what goes wrong there, what it costs."""
