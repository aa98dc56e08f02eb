"""The composition root: settings in, application out. Only here are concrete classes named."""
