"""S3 backend of daystore: Amazon S3 and servers that are compatible with it."""
