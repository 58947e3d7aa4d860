"""The pages on which users set up and manage their second factors."""
