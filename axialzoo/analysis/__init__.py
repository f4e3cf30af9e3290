"""Cost and reach of attention, in numbers and pictures: the library behind ``axialzoo compare`` and ``axialzoo explain``."""
