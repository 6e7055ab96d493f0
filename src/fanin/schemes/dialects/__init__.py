"""Other systems' initializers by their own names, each with the law that it really has there."""
