"""Where mailauth meets people and sockets."""
