"""Learning by reward: the generator as a policy that signs samples, and learns from what they are worth."""
