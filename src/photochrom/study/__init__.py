"""A perception study: people say which of two pictures is the real one."""
