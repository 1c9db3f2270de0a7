"""What a reply may claim: cleaning today, the judge later."""
