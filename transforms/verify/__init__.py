"""Is a dataset what its records say?"""
