"""What is measured of production: drift signals, estimates, and the reference they are compared with."""
