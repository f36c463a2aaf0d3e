"""The text that scripts are put together from. Each part needs only what stands in HEAD; nothing here is run by us."""

from __future__ import annotations

HEAD = """
import {used}

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException
{more}
URL = sys.argv[1] if len(sys.argv) > 1 else "{address}"
ROUNDS, LIMIT_S, ANSWER_LIMIT_S = {rounds}, {limit_s}, {answer_limit_s}
OF_THREAD = threading.local()


def server():  # the client of this thread
    if not hasattr(OF_THREAD, "client"):
        OF_THREAD.client = triton.InferenceServerClient(URL)
    return OF_THREAD.client
"""

SEQUENCES = '''

def tensor(model, value):
    made = triton.InferInput(model["input"], model["shape"], model["datatype"])
    made.set_data_from_numpy(np.full(model["shape"], value, np.int32 if model["datatype"] == "INT32" else np.float32))
    return made


def send(model, sequences, end=True, pause=None):
    """Send these sequences (id, values) at once over one stream, a request of each in turn; what is wrong, or ""."""
    answers = queue.Queue()
    longest = max(len(values) for _, values in sequences)
    order = [(number, step) for step in range(longest) for number, values in sequences if step < len(values)]
    values_of = dict(sequences)

    def judge(count):
        for _ in range(count):
            try:
                result, error = answers.get(timeout=ANSWER_LIMIT_S)
            except queue.Empty:
                return f"{{model['name']}} did not answer within {{ANSWER_LIMIT_S}} s"
            if error is not None:
                return f"{{model['name']}} answered with an error: {{error}}"
            number, step = order[int(result.get_response().id)]
            kind = np.int32 if model["datatype"] == "INT32" else np.float32
            sent = np.array(values_of[number], kind)
            expected = np.cumsum(sent, dtype=kind)[step] if model["sums"] else sent[step] + (step == 0)
            answer = result.as_numpy(model["output"])
            if answer is None or answer.size != 1 or answer.reshape(-1)[0] != expected:
                return f"sequence {{number}} {{values_of[number]}}: answer {{step}} is {{answer}}, not {{expected}}"
        return ""

    def hand_over():
        answered = 0
        for place, (number, step) in enumerate(order):
            if pause and place == pause[0]:
                if wrong := judge(place):
                    return wrong
                answered = place
                time.sleep(pause[1])
            server().async_stream_infer(
                model["name"], [tensor(model, values_of[number][step])], request_id=str(place), sequence_id=number,
                sequence_start=step == 0, sequence_end=end and step == len(values_of[number]) - 1,
            )
        return judge(len(order) - answered)

    wrong = "the stream broke"
    server().start_stream(lambda result, error: answers.put((result, error)))
    try:
        wrong = hand_over()
    finally:
        server().stop_stream(cancel_requests=bool(wrong))
    return wrong
'''

WITHOUT_START = '''
START_ERROR = "must specify the START flag on the first request of the sequence"


def refused(model, number):
    """Ask for a sequence that the server must not know, without START; what is wrong, or ""."""
    try:
        answer = server().infer(
            model["name"], [tensor(model, 1)], sequence_id=number, sequence_end=True, client_timeout=ANSWER_LIMIT_S
        )
    except InferenceServerException as error:
        return "" if START_ERROR in str(error) else f"another error than the START error: {{error}}"
    return f"sequence {{number}} without START was answered {{answer.as_numpy(model['output'])}}, not refused"


def wait(seconds):
    time.sleep(seconds)
    return ""
'''

IDENTITY = '''
DRAWN = np.random.default_rng(0).integers(0, 2**32, 2**21, np.uint32)
NUMBERS = ((DRAWN & np.uint32(0xBFFFFFFF)) | np.uint32(0x20000000)).view(np.float32)


def identity(model, numbers):
    """These numbers must come back bit by bit; what is wrong, or ""."""
    sent = np.asarray(numbers, np.float32).reshape((1, -1) if model["batches"] else -1)
    given = triton.InferInput(model["input"], list(sent.shape), "FP32").set_data_from_numpy(sent)
    answer = server().infer(model["name"], [given], client_timeout=ANSWER_LIMIT_S).as_numpy(model["output"])
    if answer is None or answer.shape != sent.shape:
        return f"{{model['name']}} answered {{'nothing' if answer is None else answer.shape}}, not {{sent.shape}}"
    differ = np.flatnonzero(answer.view(np.uint32) != sent.view(np.uint32))
    if not differ.size:
        return ""
    first = differ[0]
    return (
        f"{{model['name']}} answered other numbers: {{differ.size}} of {{sent.size}} differ, the first at {{first}}: "
        f"expected {{sent.reshape(-1)[first]}}, got {{answer.reshape(-1)[first]}}"
    )
'''

PICTURES = """
DATA = np.load(__file__.removesuffix(".py") + ".npz")


def classify():
    # the right class must be among the first {top_k} of each picture, with a score that can be; what is wrong, or ""
    pictures = DATA["pictures"]{first}
    given = triton.InferInput("{input}", list(pictures.shape), "{datatype}").set_data_from_numpy(pictures)
    wanted = triton.InferRequestedOutput("{output}", class_count={top_k})
    answer = server().infer("{model}", [given], outputs=[wanted], client_timeout=ANSWER_LIMIT_S).as_numpy("{output}")
    for place, (label, entries) in enumerate(zip(DATA["labels"], answer.reshape(len(DATA["labels"]), -1))):
        read = [entry.decode().split(":", 2) for entry in entries]  # score, index, name
        right = [each for each in read if label.lower() in (each[-1].strip().lower(), each[1])]
        if not right:
            return f"picture {{place}} is {{label}}, the answer was {{read}}"
        if not {least} <= float(right[0][0]) <= {largest}:
            return f"picture {{place}} is {{label}}: {{right[0]}} has a score that cannot be"
    return ""
"""

CRASH = '''

def doomed():
    """What the client process does until it is killed: one request to a model that takes 10 s."""
    given = triton.InferInput("INPUT0", [1, {count}], "FP32").set_data_from_numpy(np.zeros([1, {count}], np.float32))
    print("sending", flush=True)
    server().infer("{slow}", [given], client_timeout=60)


def crash(model, delay_s, number):
    """Kill a client in the middle of its inference; the server must go on. What is wrong, or ""."""
    child = subprocess.Popen([sys.executable, __file__, URL, "doomed"], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        time.sleep(1.5 + delay_s)
        child.send_signal(number)
        child.wait(10)
    finally:
        child.kill()
    for second in range(12):
        try:
            if not (server().is_server_live(client_timeout=10) and server().is_server_ready(client_timeout=10)):
                return f"{{second}} s after the client was killed the server is not ready"
            if wrong := identity(model, [1.0]):
                return wrong
        except InferenceServerException as error:
            return f"{{second}} s after the client was killed the server does not answer: {{error}}"
        time.sleep(1)
    return ""
'''

PLAY = '''

def play(ids):
    """One round, with ids of its own; what is wrong, or ""."""
    return {play}
'''

PARTNERS = """

PARTNERS = [{partners}]


def keep_busy(partner):
    while True:
        try:
            partner((1 + secrets.randbelow(2**42)) * 2**20)
        except InferenceServerException:
            time.sleep(0.25)
"""

MAIN = """

def main():
    try:
        server().is_server_live(client_timeout=10)
    except InferenceServerException as error:
        print(f"no Triton answers at {{URL}}: {{error}}")
        return 2
{start}    ids, done, end = 0, 0, time.monotonic() + LIMIT_S
    while done < ROUNDS and (time.monotonic() < end or not done):
        if done % 2 == 0:  # two rounds with the same ids: a defect may show between ids, or in one id's next sequence
            ids = (2**43 // 2 + secrets.randbelow(2**42)) * 2**20
        try:
            wrong = play(ids)
        except InferenceServerException as error:
            wrong = str(error)
        done += 1
        if wrong:
            print(f"round {{done}}: {{wrong}}")
            return 1
    print(f"not seen in {{done}} rounds")
    return 0


if __name__ == "__main__":
    try:
        code = {entry}
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code or 0)  # at once: in 1 of 40 ends of Python grpcio hangs where it closes a channel
"""

START_PARTNERS = """    for partner in PARTNERS:
        threading.Thread(target=keep_busy, args=(partner,), daemon=True).start()
"""
