"""What all pages share: requests, connections, listening."""
