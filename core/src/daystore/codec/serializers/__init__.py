"""The serializers that come with daystore. They are found by name or content type, like anybody's."""
