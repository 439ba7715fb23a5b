"""Tables about accuracy and how it is reached."""
