"""MongoDB backend of daystore: one server, a replica set, or a sharded cluster."""
