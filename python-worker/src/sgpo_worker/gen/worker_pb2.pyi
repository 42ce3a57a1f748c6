import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dtype(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[Dtype]
    DTYPE_FLOAT32: _ClassVar[Dtype]
    DTYPE_BFLOAT16: _ClassVar[Dtype]

class TaskOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_OUTCOME_UNSPECIFIED: _ClassVar[TaskOutcome]
    TASK_OUTCOME_SUCCEEDED: _ClassVar[TaskOutcome]
    TASK_OUTCOME_FAILED: _ClassVar[TaskOutcome]
    TASK_OUTCOME_CANCELED: _ClassVar[TaskOutcome]
    TASK_OUTCOME_CHECKPOINTED: _ClassVar[TaskOutcome]
    TASK_OUTCOME_LOST: _ClassVar[TaskOutcome]

class FailureClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CLASS_UNSPECIFIED: _ClassVar[FailureClass]
    FAILURE_CLASS_INVALID: _ClassVar[FailureClass]
    FAILURE_CLASS_INFRASTRUCTURE: _ClassVar[FailureClass]
    FAILURE_CLASS_RESOURCES: _ClassVar[FailureClass]

class CancelMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_MODE_UNSPECIFIED: _ClassVar[CancelMode]
    CANCEL_MODE_NOW: _ClassVar[CancelMode]
    CANCEL_MODE_AT_CHECKPOINT: _ClassVar[CancelMode]

class PublishedWeights(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLISHED_WEIGHTS_UNSPECIFIED: _ClassVar[PublishedWeights]
    PUBLISHED_WEIGHTS_LAST: _ClassVar[PublishedWeights]
    PUBLISHED_WEIGHTS_BEST: _ClassVar[PublishedWeights]
    PUBLISHED_WEIGHTS_BOTH: _ClassVar[PublishedWeights]
DTYPE_UNSPECIFIED: Dtype
DTYPE_FLOAT32: Dtype
DTYPE_BFLOAT16: Dtype
TASK_OUTCOME_UNSPECIFIED: TaskOutcome
TASK_OUTCOME_SUCCEEDED: TaskOutcome
TASK_OUTCOME_FAILED: TaskOutcome
TASK_OUTCOME_CANCELED: TaskOutcome
TASK_OUTCOME_CHECKPOINTED: TaskOutcome
TASK_OUTCOME_LOST: TaskOutcome
FAILURE_CLASS_UNSPECIFIED: FailureClass
FAILURE_CLASS_INVALID: FailureClass
FAILURE_CLASS_INFRASTRUCTURE: FailureClass
FAILURE_CLASS_RESOURCES: FailureClass
CANCEL_MODE_UNSPECIFIED: CancelMode
CANCEL_MODE_NOW: CancelMode
CANCEL_MODE_AT_CHECKPOINT: CancelMode
PUBLISHED_WEIGHTS_UNSPECIFIED: PublishedWeights
PUBLISHED_WEIGHTS_LAST: PublishedWeights
PUBLISHED_WEIGHTS_BEST: PublishedWeights
PUBLISHED_WEIGHTS_BOTH: PublishedWeights

class GetWorkerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetWorkerResponse(_message.Message):
    __slots__ = ("worker_id", "instance_id", "versions", "device_kind", "devices", "slots", "draining", "running", "warm_model_digest", "engine", "deterministic")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KIND_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WARM_MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    instance_id: str
    versions: _containers.ScalarMap[str, str]
    device_kind: str
    devices: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    draining: bool
    running: _containers.RepeatedCompositeFieldContainer[RunningTask]
    warm_model_digest: str
    engine: str
    deterministic: bool
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., versions: _Optional[_Mapping[str, str]] = ..., device_kind: _Optional[str] = ..., devices: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ..., draining: _Optional[bool] = ..., running: _Optional[_Iterable[_Union[RunningTask, _Mapping]]] = ..., warm_model_digest: _Optional[str] = ..., engine: _Optional[str] = ..., deterministic: _Optional[bool] = ...) -> None: ...

class RunningTask(_message.Message):
    __slots__ = ("task_id", "fence")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fence: int
    def __init__(self, task_id: _Optional[str] = ..., fence: _Optional[int] = ...) -> None: ...

class ArtifactRef(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class StartTaskRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "fence", "lease_seconds", "labels", "generate", "score", "sft", "dpo")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SFT_FIELD_NUMBER: _ClassVar[int]
    DPO_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    fence: int
    lease_seconds: int
    labels: _containers.ScalarMap[str, str]
    generate: GenerateSpec
    score: ScoreSpec
    sft: SftSpec
    dpo: DpoSpec
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., fence: _Optional[int] = ..., lease_seconds: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., generate: _Optional[_Union[GenerateSpec, _Mapping]] = ..., score: _Optional[_Union[ScoreSpec, _Mapping]] = ..., sft: _Optional[_Union[SftSpec, _Mapping]] = ..., dpo: _Optional[_Union[DpoSpec, _Mapping]] = ...) -> None: ...

class StartTaskResponse(_message.Message):
    __slots__ = ("started",)
    STARTED_FIELD_NUMBER: _ClassVar[int]
    started: bool
    def __init__(self, started: _Optional[bool] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id", "fence", "after_sequence")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fence: int
    after_sequence: int
    def __init__(self, task_id: _Optional[str] = ..., fence: _Optional[int] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: TaskEvent
    def __init__(self, event: _Optional[_Union[TaskEvent, _Mapping]] = ...) -> None: ...

class RenewLeaseRequest(_message.Message):
    __slots__ = ("task_id", "fence", "lease_seconds")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fence: int
    lease_seconds: int
    def __init__(self, task_id: _Optional[str] = ..., fence: _Optional[int] = ..., lease_seconds: _Optional[int] = ...) -> None: ...

class RenewLeaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("task_id", "fence", "mode")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fence: int
    mode: CancelMode
    def __init__(self, task_id: _Optional[str] = ..., fence: _Optional[int] = ..., mode: _Optional[_Union[CancelMode, str]] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskEvent(_message.Message):
    __slots__ = ("sequence", "at", "phase", "progress", "metrics", "log", "finished")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at: _timestamp_pb2.Timestamp
    phase: Phase
    progress: Progress
    metrics: Metrics
    log: Log
    finished: Finished
    def __init__(self, sequence: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., phase: _Optional[_Union[Phase, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., metrics: _Optional[_Union[Metrics, _Mapping]] = ..., log: _Optional[_Union[Log, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "unit")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    unit: str
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ...) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("step", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    step: int
    values: _containers.ScalarMap[str, float]
    def __init__(self, step: _Optional[int] = ..., values: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("level", "message")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    level: str
    message: str
    def __init__(self, level: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("outcome", "output", "rows_in", "rows_out", "dropped", "error", "seconds", "peak_rss_bytes", "provenance")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ProvenanceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    outcome: TaskOutcome
    output: ArtifactRef
    rows_in: int
    rows_out: int
    dropped: _containers.ScalarMap[str, int]
    error: TaskError
    seconds: float
    peak_rss_bytes: int
    provenance: _containers.ScalarMap[str, str]
    def __init__(self, outcome: _Optional[_Union[TaskOutcome, str]] = ..., output: _Optional[_Union[ArtifactRef, _Mapping]] = ..., rows_in: _Optional[int] = ..., rows_out: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., error: _Optional[_Union[TaskError, _Mapping]] = ..., seconds: _Optional[float] = ..., peak_rss_bytes: _Optional[int] = ..., provenance: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TaskError(_message.Message):
    __slots__ = ("code", "failure_class", "message", "remedy")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    code: str
    failure_class: FailureClass
    message: str
    remedy: str
    def __init__(self, code: _Optional[str] = ..., failure_class: _Optional[_Union[FailureClass, str]] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class GenerateSpec(_message.Message):
    __slots__ = ("model", "input", "temperature", "top_p", "max_new_tokens", "max_length", "seed", "sample_index", "block_rows", "dtype")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    BLOCK_ROWS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    model: ArtifactRef
    input: ArtifactRef
    temperature: float
    top_p: float
    max_new_tokens: int
    max_length: int
    seed: int
    sample_index: int
    block_rows: int
    dtype: Dtype
    def __init__(self, model: _Optional[_Union[ArtifactRef, _Mapping]] = ..., input: _Optional[_Union[ArtifactRef, _Mapping]] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., max_new_tokens: _Optional[int] = ..., max_length: _Optional[int] = ..., seed: _Optional[int] = ..., sample_index: _Optional[int] = ..., block_rows: _Optional[int] = ..., dtype: _Optional[_Union[Dtype, str]] = ...) -> None: ...

class ScoreSpec(_message.Message):
    __slots__ = ("model", "input", "max_length", "block_rows", "dtype", "measure_chrf")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    BLOCK_ROWS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_CHRF_FIELD_NUMBER: _ClassVar[int]
    model: ArtifactRef
    input: ArtifactRef
    max_length: int
    block_rows: int
    dtype: Dtype
    measure_chrf: bool
    def __init__(self, model: _Optional[_Union[ArtifactRef, _Mapping]] = ..., input: _Optional[_Union[ArtifactRef, _Mapping]] = ..., max_length: _Optional[int] = ..., block_rows: _Optional[int] = ..., dtype: _Optional[_Union[Dtype, str]] = ..., measure_chrf: _Optional[bool] = ...) -> None: ...

class TrainingParameters(_message.Message):
    __slots__ = ("epochs", "learning_rate", "batch_size", "micro_batch_size", "max_length", "warmup_ratio", "scheduler", "weight_decay", "max_grad_norm", "seed", "dtype", "save_dtype", "checkpoint_seconds", "gradient_checkpointing", "lora", "publish", "validation")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    MICRO_BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RATIO_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    MAX_GRAD_NORM_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SAVE_DTYPE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_CHECKPOINTING_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    epochs: float
    learning_rate: float
    batch_size: int
    micro_batch_size: int
    max_length: int
    warmup_ratio: float
    scheduler: str
    weight_decay: float
    max_grad_norm: float
    seed: int
    dtype: Dtype
    save_dtype: Dtype
    checkpoint_seconds: int
    gradient_checkpointing: bool
    lora: LoraParameters
    publish: PublishedWeights
    validation: ValidationParameters
    def __init__(self, epochs: _Optional[float] = ..., learning_rate: _Optional[float] = ..., batch_size: _Optional[int] = ..., micro_batch_size: _Optional[int] = ..., max_length: _Optional[int] = ..., warmup_ratio: _Optional[float] = ..., scheduler: _Optional[str] = ..., weight_decay: _Optional[float] = ..., max_grad_norm: _Optional[float] = ..., seed: _Optional[int] = ..., dtype: _Optional[_Union[Dtype, str]] = ..., save_dtype: _Optional[_Union[Dtype, str]] = ..., checkpoint_seconds: _Optional[int] = ..., gradient_checkpointing: _Optional[bool] = ..., lora: _Optional[_Union[LoraParameters, _Mapping]] = ..., publish: _Optional[_Union[PublishedWeights, str]] = ..., validation: _Optional[_Union[ValidationParameters, _Mapping]] = ...) -> None: ...

class LoraParameters(_message.Message):
    __slots__ = ("rank", "alpha", "dropout", "target_modules")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    rank: int
    alpha: float
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rank: _Optional[int] = ..., alpha: _Optional[float] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ...) -> None: ...

class ValidationParameters(_message.Message):
    __slots__ = ("share", "every_steps", "measure")
    SHARE_FIELD_NUMBER: _ClassVar[int]
    EVERY_STEPS_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    share: float
    every_steps: int
    measure: str
    def __init__(self, share: _Optional[float] = ..., every_steps: _Optional[int] = ..., measure: _Optional[str] = ...) -> None: ...

class SftSpec(_message.Message):
    __slots__ = ("model", "dataset", "training", "chat_template")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    CHAT_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    model: ArtifactRef
    dataset: ArtifactRef
    training: TrainingParameters
    chat_template: str
    def __init__(self, model: _Optional[_Union[ArtifactRef, _Mapping]] = ..., dataset: _Optional[_Union[ArtifactRef, _Mapping]] = ..., training: _Optional[_Union[TrainingParameters, _Mapping]] = ..., chat_template: _Optional[str] = ...) -> None: ...

class DpoSpec(_message.Message):
    __slots__ = ("policy", "reference", "dataset", "training", "trainer", "loss_types", "loss_weights", "beta", "label_smoothing", "ld_alpha", "simpo_gamma", "cpo_alpha", "desirable_weight", "undesirable_weight", "discopop_tau")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    TRAINER_FIELD_NUMBER: _ClassVar[int]
    LOSS_TYPES_FIELD_NUMBER: _ClassVar[int]
    LOSS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    LD_ALPHA_FIELD_NUMBER: _ClassVar[int]
    SIMPO_GAMMA_FIELD_NUMBER: _ClassVar[int]
    CPO_ALPHA_FIELD_NUMBER: _ClassVar[int]
    DESIRABLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNDESIRABLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DISCOPOP_TAU_FIELD_NUMBER: _ClassVar[int]
    policy: ArtifactRef
    reference: ArtifactRef
    dataset: ArtifactRef
    training: TrainingParameters
    trainer: str
    loss_types: _containers.RepeatedScalarFieldContainer[str]
    loss_weights: _containers.RepeatedScalarFieldContainer[float]
    beta: float
    label_smoothing: float
    ld_alpha: float
    simpo_gamma: float
    cpo_alpha: float
    desirable_weight: float
    undesirable_weight: float
    discopop_tau: float
    def __init__(self, policy: _Optional[_Union[ArtifactRef, _Mapping]] = ..., reference: _Optional[_Union[ArtifactRef, _Mapping]] = ..., dataset: _Optional[_Union[ArtifactRef, _Mapping]] = ..., training: _Optional[_Union[TrainingParameters, _Mapping]] = ..., trainer: _Optional[str] = ..., loss_types: _Optional[_Iterable[str]] = ..., loss_weights: _Optional[_Iterable[float]] = ..., beta: _Optional[float] = ..., label_smoothing: _Optional[float] = ..., ld_alpha: _Optional[float] = ..., simpo_gamma: _Optional[float] = ..., cpo_alpha: _Optional[float] = ..., desirable_weight: _Optional[float] = ..., undesirable_weight: _Optional[float] = ..., discopop_tau: _Optional[float] = ...) -> None: ...
