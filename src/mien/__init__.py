"""What a person on video feels, utterance by utterance."""
