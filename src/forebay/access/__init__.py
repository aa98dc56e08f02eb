"""Who may do what. Until there are users, every request comes from the caller `anonymous`."""
