"""Worker processes of Beam's DirectRunner whose death ends the pipeline with an error.

Beam 2.77 waits for ever on a worker process that was killed (for example by the system, for want of
memory): it notes the exit code in a thread and tells nobody. Importing this module puts a handler in
the place of Beam's that answers all that the dead worker was asked with an error.
"""

from __future__ import annotations

import threading

from components import beam_options  # noqa: F401  # before all else of Beam

from apache_beam.portability import python_urns  # isort: skip
from apache_beam.portability.api import beam_fn_api_pb2  # isort: skip
from apache_beam.runners.portability import local_job_service  # isort: skip
from apache_beam.runners.portability.fn_api_runner import worker_handlers  # isort: skip

DIED = "a worker process of the Beam runner died"
_EVERY_SECONDS = 0.1


@worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class _Handler(worker_handlers.SubprocessSdkWorkerHandler):
    def start_worker(self) -> None:
        self._stopped = threading.Event()
        self.worker = local_job_service.SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(name="run_worker", target=self._run)
        self.worker_thread.start()

    def stop_worker(self) -> None:
        self._stopped.set()
        super().stop_worker()

    def _run(self) -> None:
        try:
            self.worker.run()
        except RuntimeError as e:
            # Beam may go on asking until it has heard of the first error.
            while not self._stopped.wait(_EVERY_SECONDS):
                for number, asked in list(self.control_conn._futures_by_id.items()):
                    asked.set(
                        beam_fn_api_pb2.InstructionResponse(
                            instruction_id=number, error=f"{DIED}: {e}"
                        )
                    )
