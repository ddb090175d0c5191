"""`handpose view`: evaluated images with their hands, or an exported model's page, in a browser."""
