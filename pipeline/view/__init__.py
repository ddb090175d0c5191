"""`handpose view`: the evaluated images with their hands, one by one, in a browser."""
