"""What the training steps share: the data in memory, augmentation in the graph, the loop.

Imported by executors only: everything here needs TensorFlow.
"""
