"""What every room uses: files, checks of arguments, random streams, blocks of rows, progress bars."""
