"""Training of systems on the train and valid splits, and prediction. This package never loads the test split."""
