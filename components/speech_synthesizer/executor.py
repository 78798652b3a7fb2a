"""Executes SpeechSynthesizer: plans the clips and makes them in processes of their own.

eSpeak's samples depend on what its process has said before. So a fixed group of speakers is one
task, and each task gets a fresh process; the bytes then depend on neither the number of workers nor
the order in which they finish.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading

from components.base import Inputs, Metrics, Outputs, Progress, UserError
from components.speech_synthesizer import studio
from components.speech_synthesizer.component import SpeechSynthesizerParameters
from components.speech_synthesizer.plan import speaker_plans
from components.speech_synthesizer.vocabulary import check_keywords

_SPEAKERS_A_TASK = 25


def execute(inputs: Inputs, outputs: Outputs, parameters: SpeechSynthesizerParameters) -> Metrics:
    """Writes a Recordings folder; see `components.artifacts`.

    Raises:
        UserError: a keyword cannot be said or does not fit into a clip, or two sound the same.
    """
    check_keywords(parameters.keywords)
    folder = outputs["recordings"]
    with concurrent.futures.ProcessPoolExecutor(
        parameters.workers,
        multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        max_tasks_per_child=1,
    ) as pool:
        vocabulary = pool.submit(studio.audition, parameters.keywords, parameters.seed).result()
        if not vocabulary.near and not vocabulary.far:
            raise UserError("every bundled word sounds like a keyword: name fewer keywords")
        plans = speaker_plans(parameters, vocabulary)
        for clip in (clip for plan in plans for clip in plan.clips):
            (folder / clip.path).parent.mkdir(exist_ok=True)
        groups = [
            plans[first : first + _SPEAKERS_A_TASK]
            for first in range(0, len(plans), _SPEAKERS_A_TASK)
        ]
        tasks = [
            pool.submit(studio.record, folder, group, vocabulary, parameters) for group in groups
        ]
        tasks.append(pool.submit(studio.record_background, folder, vocabulary, parameters))
        progress = Progress(sum(len(plan.clips) for plan in plans), "clips")
        clips = 0
        for task in concurrent.futures.as_completed(tasks):
            clips += task.result()
            progress.at(clips)
    return {"clips": float(clips), "speakers": float(len(plans))}


def _end_with_parent() -> None:
    """Lets a worker not outlive the step, however the step ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(process: multiprocessing.process.BaseProcess) -> None:
    process.join()
    os._exit(2)
