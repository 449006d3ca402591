"""What the clips are for: ejection fraction and B-lines told from originals, from decoded clips, and without pixels."""
