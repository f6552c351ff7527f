"""What a notebook shows: displays, figures, the explorer."""
