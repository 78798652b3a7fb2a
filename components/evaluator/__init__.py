"""Evaluator: the int8 model against its float version, the last release and trivial baselines.

``evaluation.json`` holds: int8_accuracy, float_accuracy, teacher_accuracy (test list, clips as recorded,
clip decision of the policy); teacher_agreement (share of these on which int8 model and teacher agree);
int8_single_accuracy, float_single_accuracy (one centred inference); val_int8_accuracy; n; per_label,
per_speaker, confusion (rows truth, columns said); paired (see `components.evaluator.paired`);
false_accepts (see `components.evaluator.streams`); policy; score_mean (lowest and highest mean top
probability of a speaker); worst (the most confident mistakes); baselines (majority, last_release). With a
gate, the int8 figures are those of gate and model together, and there is ``gate`` (see
`components.evaluator.gated`), with ``accuracy_without``: that of the int8 model alone. Likewise, with an
early exit, ``early_exit`` (see `components.evaluator.early`).
"""
