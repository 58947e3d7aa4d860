"""The mails to users: one template a kind, rendered as text and as HTML, in each language."""
