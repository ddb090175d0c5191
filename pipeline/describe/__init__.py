"""`handpose describe`: every layer with shape and size, loss weights, schedules."""
