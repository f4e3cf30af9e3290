"""What happens on either side of a head: targets before, decoding, metrics and drawing after. numpy only."""
