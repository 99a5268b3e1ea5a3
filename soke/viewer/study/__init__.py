"""Studies with people: pages that ask them, a server that keeps their answers, and what the answers say."""
