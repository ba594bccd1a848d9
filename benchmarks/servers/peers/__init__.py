"""Programs of the peers: servers as a team would write them without this project."""
