"""Files of accounts: read, a line at a time, and written, in the forms that other systems and people have."""
