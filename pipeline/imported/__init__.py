"""`handpose evaluate`: anyone's predictions under every protocol, beside this clone's models."""
