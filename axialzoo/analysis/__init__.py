"""What attention costs and what it sees, in numbers and pictures: behind ``axialzoo compare`` and ``axialzoo explain``."""
