"""A perception study: which of two pictures is real?"""
