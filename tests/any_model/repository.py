"""Models of every kind for a real Triton, written into a folder: each datatype, open shapes, sequences, decoupled."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

DATATYPES = (
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "BF16", "FP32", "FP64", "BYTES",
)  # fmt: skip

#: A model that answers what it is sent; BF16 has no numpy type, so it goes through DLPack.
ECHO = """
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [pb.InferenceResponse([self.answer(request)]) for request in requests]

        def answer(self, request):
            sent = pb.get_input_tensor_by_name(request, "IN")
            if "{datatype}" == "BF16":
                return pb.Tensor.from_dlpack("OUT", sent.to_dlpack())
            return pb.Tensor("OUT", sent.as_numpy())
"""

#: Doubles its input and adds an optional second one; one element of a thousandth answer is wrong where asked for.
SUM = """
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def initialize(self, args):
            self.answered = 0

        def execute(self, requests):
            return [pb.InferenceResponse([pb.Tensor("OUT", self.sum(request))]) for request in requests]

        def sum(self, request):
            total = pb.get_input_tensor_by_name(request, "IN").as_numpy() * 2
            more = pb.get_input_tensor_by_name(request, "MORE")
            if more is not None:
                total = total + more.as_numpy()
            self.answered += 1
            if {wrong_each} and self.answered % {wrong_each} == 0:
                total.reshape(-1)[-1] += 1
            return total
"""

#: Answers COUNT times: 0, 1, 2 ...; misbehaves as COUNT below zero says.
REPEAT = """
    import numpy as np
    import triton_python_backend_utils as pb

    FINAL = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL

    class TritonPythonModel:
        def execute(self, requests):
            senders = [(r.get_response_sender(), int(pb.get_input_tensor_by_name(r, "COUNT").as_numpy().reshape(-1)[0]))
                       for r in requests]
            for number in range(max((count for _, count in senders), default=0)):
                for sender, count in senders:  # interleaved where several came at once
                    if number < count:
                        sender.send(self.response(number))
            for sender, count in senders:
                if count == -1:
                    sender.send(self.response(0))
                    sender.send(pb.InferenceResponse(error=pb.TritonError("broke in the middle")))
                    sender.send(self.response(1))
                sender.send(flags=FINAL)

        def response(self, number):
            return pb.InferenceResponse([pb.Tensor("OUT", np.array([number], np.int32))])
"""

#: Answers COUNT times from a thread for each request, so that answers to several come mixed.
MIXED = """
    import threading, time

    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def initialize(self, args):
            self.threads = []

        def execute(self, requests):
            for request in requests:
                count = int(pb.get_input_tensor_by_name(request, "COUNT").as_numpy().reshape(-1)[0])
                thread = threading.Thread(target=self.answer, args=(request.get_response_sender(), count))
                self.threads.append(thread)
                thread.start()

        def answer(self, sender, count):
            for number in range(count):
                sender.send(pb.InferenceResponse([pb.Tensor("OUT", np.array([number], np.int32))]))
                time.sleep(0.01)
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

        def finalize(self):
            for thread in self.threads:
                thread.join()
"""

#: Answers a text with each of its letters, and last with a thousand numbers, one of which is wrong.
LETTERS = """
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                sender = request.get_response_sender()
                (text,) = pb.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
                numbers = np.arange(1000, dtype=np.int32)
                for place, letter in enumerate(text.decode()):
                    numbers[700] = 700 + (letter == "!")
                    letters = pb.Tensor("LETTER", np.array([letter.encode()], np.object_))
                    sender.send(pb.InferenceResponse([letters, pb.Tensor("NUMBERS", numbers)]))
                sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

#: Calls the model "inner" twice, inside the server, for each of its requests.
CALLS_TWICE = """
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [self.answer(request) for request in requests]

        def answer(self, request):
            sent = pb.get_input_tensor_by_name(request, "IN")
            for _ in range(2):
                call = pb.InferenceRequest(model_name="inner", requested_output_names=["OUT"], inputs=[sent])
                answered = call.exec()
            return pb.InferenceResponse([pb.get_output_tensor_by_name(answered, "OUT")])
"""

#: A running sum for each sequence.
ACCUMULATE = """
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def initialize(self, args):
            self.sums = {{}}

        def execute(self, requests):
            return [pb.InferenceResponse([pb.Tensor("OUT", self.sum(request))]) for request in requests]

        def sum(self, request):
            values = pb.get_input_tensor_by_name(request, "IN").as_numpy()
            started = pb.get_input_tensor_by_name(request, "START").as_numpy().reshape(-1)[0]
            key = request.correlation_id()
            self.sums[key] = values + (0 if started else self.sums.get(key, 0))
            return self.sums[key]
"""


#: Doubles its input in each of two steps: the second takes what the first answers.
QUADRUPLE = """
    name: "quadruple"
    platform: "ensemble"
    max_batch_size: 4
    ensemble_scheduling { step [
      { model_name: "sum" model_version: -1
        input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "twice" } },
      { model_name: "sum" model_version: -1
        input_map { key: "IN" value: "twice" } output_map { key: "OUT" value: "OUT" } }
    ] }
"""


def write(folder: Path, name: str, program: str, config: str, **fields: object) -> None:
    """One model: its program, with `fields` filled in, and its configuration."""
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "1" / "model.py").write_text(dedent(program).format(**fields))
    head = f'name: "{name}"\nbackend: "python"\ninstance_group [ {{ kind: KIND_CPU }} ]\n'
    (folder / name / "config.pbtxt").write_text(head + dedent(config))


def tensor(side: str, name: str, datatype: str, *dims: int, more: str = "") -> str:
    kind = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return f'{side} [ {{ name: "{name}" data_type: {kind} dims: [ {", ".join(map(str, dims))} ] {more} }} ]\n'


def make(folder: Path) -> Path:
    """All of them, in `folder`."""
    for datatype in DATATYPES:
        both = tensor("input", "IN", datatype, 3) + tensor("output", "OUT", datatype, 3)
        write(folder, f"echo_{datatype.lower()}", ECHO, both + "max_batch_size: 4\n", datatype=datatype)
    both = tensor("input", "IN", "FP32", 3) + tensor("output", "OUT", "FP32", 3, more='label_filename: "labels.txt"')
    write(folder, "scores", ECHO, both + "max_batch_size: 4\n", datatype="FP32")
    (folder / "scores" / "labels.txt").write_text("CAT\nDOG\nOWL\n")
    both = tensor("input", "IN", "FP32", -1, 2) + tensor("output", "OUT", "FP32", -1, 2)
    write(folder, "open_shape", ECHO, both, datatype="FP32")
    inputs = tensor("input", "IN", "INT32", 4) + tensor("input", "MORE", "INT32", 4, more="optional: true")
    both = inputs + tensor("output", "OUT", "INT32", 4)
    write(folder, "sum", SUM, both + "max_batch_size: 4\n", wrong_each=0)
    write(folder, "seldom_wrong", SUM, both + "max_batch_size: 4\n", wrong_each=100)
    (folder / "quadruple" / "1").mkdir(parents=True)
    both = tensor("input", "IN", "INT32", 4) + tensor("output", "OUT", "INT32", 4)
    (folder / "quadruple" / "config.pbtxt").write_text(dedent(QUADRUPLE) + both)
    both = tensor("input", "COUNT", "INT32", 1) + tensor("output", "OUT", "INT32", 1)
    write(folder, "repeat", REPEAT, both + "model_transaction_policy { decoupled: true }\n")
    write(folder, "mixed", MIXED, both + "model_transaction_policy { decoupled: true }\n")
    outputs = tensor("output", "LETTER", "BYTES", 1) + tensor("output", "NUMBERS", "INT32", 1000)
    both = tensor("input", "TEXT", "BYTES", 1) + outputs
    write(folder, "letters", LETTERS, both + "model_transaction_policy { decoupled: true }\n")
    both = tensor("input", "IN", "INT32", 1) + tensor("output", "OUT", "INT32", 1)
    controls = """
        sequence_batching {
          max_sequence_idle_microseconds: 5000000
          control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] } ]
        }
    """
    write(folder, "accumulate", ACCUMULATE, both + dedent(controls))
    return folder
