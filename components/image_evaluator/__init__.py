"""ImageEvaluator: the int8 model on pictures, against its float version, the last release and baselines.

``evaluation.json`` holds what the Evaluator's does (`components.evaluator`), but for what belongs to a
stream of sound: no false_accepts and no policy. ``baselines`` has ``nearest_mean`` besides: the accuracy
of taking the label whose mean training picture is nearest.
"""
