"""The pages of a perception study."""
