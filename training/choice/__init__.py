"""Which candidate wins, and as which graph it is served."""
