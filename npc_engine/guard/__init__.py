"""What a reply may claim: speech cleaning, the judge of each sentence, strategies, repair."""
