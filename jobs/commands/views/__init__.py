"""What commands show and look up: longer than a command's body, imported when one needs it."""
