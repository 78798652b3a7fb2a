"""What a bundle becomes elsewhere: for each format, a function from a bundle to the files of a folder."""
