"""The tests of Forebay."""
