"""The user's own data: tables of rows, and folders of sound."""
