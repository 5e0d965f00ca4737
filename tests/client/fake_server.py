"""A server of the protocol as a process of its own, told on its stdin what to do wrong.

It uses the server's stubs, the client tritonclient's: one process cannot have both.
"""

import json
import queue
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.client.table import Ask, RefusedError, Table

CUT = object()
DTYPES = {"INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_, "FP32": np.float32}


class Service(stubs.GRPCInferenceServiceServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.table = Table()
        self.faults = []
        self.bad_rows = {}
        self.requests = []
        self.listeners = []

    def ModelInfer(self, request, context):
        fault = self._fault(request, "unary")
        try:
            answers = self._answers(request, fault)
        except RefusedError as refusal:
            _abort(context, refusal, request.id)
        if fault.get("fault") == "lose":
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if fault.get("fault") == "silent":
            over = threading.Event()
            if context.add_callback(over.set):
                over.wait()
        return answers[-1]

    def ModelStreamInfer(self, requests, context):
        outbox = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(requests, outbox), daemon=True).start()
        while (message := outbox.get()) is not None:
            if message is CUT:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            yield message

    def _read(self, requests, outbox):
        try:
            for request in requests:
                if _parameters(request).get("recur_notices"):
                    self.listeners.append(outbox)
                self._streamed(request, self._fault(request, "stream"), outbox)
        except grpc.RpcError:
            pass  # the client has gone
        outbox.put(None)

    def _streamed(self, request, fault, outbox):
        try:
            answers = self._answers(request, fault)
        except RefusedError as refusal:
            outbox.put(_stream_error(refusal, request.id))
            return
        kind = fault.get("fault")
        sent = {"lose": 0, "silent": 0, "cut_after": fault.get("answers", 0)}.get(kind, len(answers))
        for answer in answers[:sent]:
            outbox.put(pb.ModelStreamInferResponse(infer_response=answer))
        if kind in ("lose", "cut_after"):
            outbox.put(CUT)

    def _fault(self, request, way):
        with self.lock:
            rows = [int(tensor.shape[0]) for tensor in request.inputs[:1]]
            self.requests.append({"id": request.id, "way": way, "rows": rows, "parameters": _parameters(request)})
            return self.faults.pop(0) if self.faults else {}

    def _answers(self, request, fault):
        if fault.get("fault") == "refuse":
            raise RefusedError(fault["code"], fault["reason"], "refused on demand", retry_ms=fault.get("retry_ms"))
        tensors = _tensors(request)
        with self.lock:
            if "sequence_id" in tensors:
                return [self._rows(request, tensors)]
            return self._one(request, tensors)

    def _one(self, request, tensors):
        given = _parameters(request)
        ask = Ask(
            _numbers(tensors["x"][0]),
            given["sequence_start"],
            given["sequence_end"],
            given.get("recur_step"),
            given.get("recur_incarnation", ""),
            given.get("recur_max_steps", 0),
            given.get("recur_seed", 0),
        )
        return [_answer(request, tensors["x"], one) for one in self.table.ask(given["sequence_id"], ask)]

    def _rows(self, request, tensors):
        rows = [self._row(index, tensors) for index in range(len(tensors["x"]))]
        answer = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        _add(answer, "y", np.array([row["y"] for row in rows], tensors["x"].dtype).reshape(tensors["x"].shape))
        _add(answer, "sequence_status", np.array([row["status"] for row in rows], np.int32))
        _add(answer, "sequence_error", [row["error"] for row in rows])
        _add(answer, "recur_step", np.array([row["step"] for row in rows], np.int64))
        _add(answer, "recur_replayed", np.array([row["replayed"] for row in rows], np.bool_))
        return answer

    def _row(self, index, tensors):
        key = tensors["sequence_id"][index]
        key = key.decode() if isinstance(key, bytes) else int(key)
        flags = (
            bool(tensors[name][index]) if name in tensors else False for name in ("sequence_start", "sequence_end")
        )
        step = int(tensors["recur_step"][index]) if "recur_step" in tensors else None
        incarnation = tensors["recur_incarnation"][index].decode() if "recur_incarnation" in tensors else ""
        try:
            self._refuse_row(key)
            (given,) = self.table.ask(key, Ask(_numbers(tensors["x"][index]), *flags, step, incarnation))
        except RefusedError as refusal:
            text = f"{refusal.code} {refusal.reason}: {refusal.sentence}".encode()
            status = grpc.StatusCode[refusal.code].value[0]
            return {"y": [0] * tensors["x"][0].size, "status": status, "error": text, "step": 0, "replayed": False}
        return {"y": given.y, "status": 0, "error": b"", "step": given.position, "replayed": given.replayed}

    def _refuse_row(self, key):
        if self.bad_rows.get(str(key)):
            code, reason = self.bad_rows[str(key)].pop(0)
            raise RefusedError(code, reason, "refused on demand")

    def told(self, command):
        """Do what a line of stdin says."""
        with self.lock:
            if command.get("reset"):
                self.reset()
            self.faults += command.get("faults", [])
            self.bad_rows.update(command.get("bad_rows", {}))
            self.table.room = command.get("room", self.table.room)
            for key in command.get("expire", []):
                self.table.live.pop(key, None)
            for outbox in self.listeners if "notice" in command else []:
                notice = pb.ModelStreamInferResponse()
                notice.infer_response.parameters["recur_notice"].string_param = command["notice"]
                outbox.put(notice)
            applied = {str(key): count for key, count in self.table.applied.items()}
            live = [str(key) for key in self.table.live]
            return {"applied": applied, "live": live, "requests": self.requests}


def _parameters(request):
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in request.parameters.items()}


def _tensors(request):
    tensors = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        values = _strings(raw) if tensor.datatype == "BYTES" else np.frombuffer(raw, DTYPES[tensor.datatype])
        tensors[tensor.name] = np.reshape(values, list(tensor.shape))
    return tensors


def _strings(raw):
    values, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        values.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return np.array(values, object)


def _numbers(row):
    return tuple(ord(value) if isinstance(value, bytes) else value for value in row.ravel().tolist())


def _answer(request, x, given):
    answer = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    # Symbols go as they came; [1, time, …] has the time of what is answered.
    y = [str(value).encode() for value in given.y] if x.dtype == object else np.array(given.y, x.dtype)
    _add(answer, "y", y, (1, len(given.y), *x.shape[2:]))
    answer.parameters["recur_step"].int64_param = given.position
    answer.parameters["recur_replayed"].bool_param = given.replayed
    if given.finish_reason:
        answer.parameters["recur_finish_reason"].string_param = given.finish_reason
        answer.parameters["triton_final_response"].bool_param = True
    return answer


def _add(answer, name, values, shape=None):
    shape = shape or np.shape(values)
    if isinstance(values, list):
        answer.outputs.add(name=name, datatype="BYTES", shape=shape)
        answer.raw_output_contents.append(b"".join(struct.pack("<I", len(text)) + text for text in values))
        return
    dtype = next(name for name, dtype in DTYPES.items() if values.dtype == dtype)
    answer.outputs.add(name=name, datatype=dtype, shape=shape)
    answer.raw_output_contents.append(values.tobytes())


def _text(refusal, request_id):
    return f"[request id: {request_id}] {refusal.code} {refusal.reason}: {refusal.sentence}"


def _abort(context, refusal, request_id):
    info = ErrorInfo(reason=refusal.reason, domain="recur")
    if refusal.position is not None:
        info.metadata["position"] = str(refusal.position)
    details = [Packed(), Packed()]
    details[0].Pack(info)
    delay = Duration()
    delay.FromMilliseconds(refusal.retry_ms or 0)
    details[1].Pack(RetryInfo(retry_delay=delay))
    code = grpc.StatusCode[refusal.code]
    status = Status(
        code=code.value[0], message=_text(refusal, request_id), details=details[: 2 if refusal.retry_ms else 1]
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, status.message)


def _stream_error(refusal, request_id):
    response = pb.ModelStreamInferResponse(error_message=_text(refusal, request_id))
    response.infer_response.id = request_id
    parameters = response.infer_response.parameters
    parameters["recur_code"].string_param = refusal.code
    parameters["recur_reason"].string_param = refusal.reason
    if refusal.position is not None:
        parameters["recur_step"].int64_param = refusal.position
    if refusal.retry_ms is not None:
        parameters["recur_retry_after_ms"].int64_param = refusal.retry_ms
    return response


def _serve(service, port):
    server = grpc.server(ThreadPoolExecutor(32))
    stubs.add_GRPCInferenceServiceServicer_to_server(service, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


def main():
    service = Service()
    server, port = _serve(service, 0)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        command = json.loads(line)
        if command.get("restart"):
            server.stop(None).wait()
            server, _ = _serve(service, port)
        sys.stdout.write(json.dumps(service.told(command)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
