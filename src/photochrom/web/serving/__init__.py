"""What every page needs: the guard, connections, listening."""
