"""The command `factcore`: facts from a CSV file into one memory file, questions to it, exports of it."""
