"""The authentication server: the Dovecot authentication protocol on Unix sockets."""
