"""The worker that delivers queued mails."""
