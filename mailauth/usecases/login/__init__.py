"""One login, from what was presented to what is answered: verified, counted, spent, remembered, told."""
