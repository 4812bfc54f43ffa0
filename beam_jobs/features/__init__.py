"""The flags of `photobeam features`, and what they come to."""
