"""The preference losses of TRL 1.16 as data: which trainer has which, what each computes, and which parameters it reads.

Free of torch. In the formulas w is the chosen and l the rejected answer, |y| its tokens (with the end token), log π(y) the sum of
its tokens' log-probabilities, r(y) = log π(y) − log π_ref(y), and Δ = r(w) − r(l). All is averaged over the micro-batch.
A parameter that no asked-for loss reads is refused: TRL would ignore it without a word.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss of a trainer. `reads`: fields of DpoSpec beside beta, loss_types and loss_weights."""

    formula: str
    trap: str
    reads: frozenset[str] = field(default_factory=frozenset)
    needs: frozenset[str] = field(default_factory=frozenset)
    """Fields that must be above 0."""
    least_pairs: int = 1
    """Fewest pairs of a micro-batch: above 1 for a loss that compares the pairs of a batch with each other."""


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """One trainer of TRL."""

    reference: bool
    """True: it compares with a frozen reference model. False: it has none, and giving one would say something untrue."""
    combines: bool
    """True: several losses may be summed with weights."""
    measures: tuple[str, ...]
    """What it measures on validation rows, by TRL's names without "eval_"."""
    losses: dict[str, Loss]


OPTIONAL_PARAMETERS = (
    "label_smoothing",
    "ld_alpha",
    "simpo_gamma",
    "cpo_alpha",
    "desirable_weight",
    "undesirable_weight",
    "discopop_tau",
)
_LOSS, _ACCURACIES, _MARGINS = "loss", "rewards/accuracies", "rewards/margins"
HIGHEST_IS_BEST = (_ACCURACIES, _MARGINS)
SFT_MEASURES = (_LOSS,)

# ld_alpha weighs the log-probabilities beyond the shorter answer's length before r(w) and r(l) are formed, whatever the loss.
_LD = frozenset({"ld_alpha"})

_DPO = {
    "sigmoid": Loss(formula="−log σ(βΔ)", reads=_LD, trap="Does not read label_smoothing: `robust` does."),
    "hinge": Loss(formula="max(0, 1 − βΔ)", reads=_LD, trap="A pair whose Δ passed 1/β gives no gradient any more."),
    "ipo": Loss(
        formula="(r(w)/|w| − r(l)/|l| − 1/(2β))²",
        reads=_LD,
        trap="Averages over tokens, and β is the paper's τ: a small β asks for a large margin a token (β 0.01: 50 nats).",
    ),
    "exo_pair": Loss(
        formula="KL(softmax(βr(w), βr(l)) ‖ (1 − ε, ε)), ε = label_smoothing",
        reads=_LD | {"label_smoothing"},
        needs=frozenset({"label_smoothing"}),
        trap="log ε is part of it, so label_smoothing must be above 0; the paper takes 1e-3.",
    ),
    "nca_pair": Loss(
        formula="−log σ(βr(w)) − ½ log σ(−βr(w)) − ½ log σ(−βr(l))",
        reads=_LD,
        trap="Holds the chosen answer's own βr(w) near log 2 instead of widening the margin alone.",
    ),
    "robust": Loss(
        formula="(−(1 − ε) log σ(βΔ) + ε log σ(−βΔ)) / (1 − 2ε), ε = label_smoothing",
        reads=_LD | {"label_smoothing"},
        trap="ε is the share of flipped labels; the loss falls below 0 without bound for large margins when ε is above 0.",
    ),
    "bco_pair": Loss(
        formula="−log σ(βr(w)) − log σ(−βr(l))",
        reads=_LD,
        trap="Without the running reward shift δ of the BCO paper; both sides are pushed apart on their own.",
    ),
    "sppo_hard": Loss(
        formula="(r(w) − 1/(2β))² + (r(l) + 1/(2β))²",
        reads=_LD,
        trap="Squares of whole-answer sums: with β 0.01 both targets lie 50 nats away and the first losses are about 5,000.",
    ),
    "aot": Loss(
        formula="the smoothed sigmoid of the differences of sorted log π(w) − log π(l) and sorted reference values",
        reads=_LD | {"label_smoothing"},
        least_pairs=2,
        trap="Sorts within a micro-batch, so results depend on micro_batch_size; for one pair it is the sigmoid loss.",
    ),
    "aot_unpaired": Loss(
        formula="the smoothed sigmoid of β(sorted r(w) − sorted r(l))",
        reads=_LD | {"label_smoothing"},
        least_pairs=2,
        trap="As aot; chosen and rejected of different prompts are set against each other.",
    ),
    "apo_zero": Loss(
        formula="1 − σ(βr(w)) + σ(βr(l))",
        reads=_LD,
        trap="For chosen answers better than the policy's own: it raises them. Otherwise take apo_down.",
    ),
    "apo_down": Loss(
        formula="σ(βr(w)) + 1 − σ(βΔ)",
        reads=_LD,
        trap="For chosen answers worse than the policy's own: it lowers the chosen too, only less than the rejected.",
    ),
    "discopop": Loss(
        formula="(1 − m)(−log σ(βΔ)) + m exp(−βΔ), m = σ(βΔ/discopop_tau)",
        reads=_LD | {"discopop_tau"},
        trap="Not convex: pairs near Δ = 0 can be left there. The paper's τ is 0.05.",
    ),
    "sft": Loss(
        formula="−mean of log π over the chosen answers' tokens",
        trap="Reads neither β nor ld_alpha: a weighted term beside another loss, against falling chosen log-probabilities.",
    ),
    "sigmoid_norm": Loss(
        formula="−log σ(β(r(w)/|w| − r(l)/|l|))",
        reads=_LD,
        trap="Averages over tokens, so β must be far larger than for sigmoid to have the same effect.",
    ),
}

# TRL's "alphapo" is left out: without its parameter `alpha`, which no spec carries, it would be simpo with cpo_alpha 0.
_CPO_ALPHA = frozenset({"cpo_alpha"})
_CPO = {
    "sigmoid": Loss(
        formula="the smoothed −log σ(β(log π(w) − log π(l))) + cpo_alpha · NLL(w)",
        reads=_CPO_ALPHA | {"label_smoothing"},
        trap="No reference: nothing but cpo_alpha (TRL's default 1) keeps the policy near where it started.",
    ),
    "hinge": Loss(
        formula="max(0, 1 − β(log π(w) − log π(l))) + cpo_alpha · NLL(w)",
        reads=_CPO_ALPHA,
        trap="Sums over tokens: a long rejected answer satisfies the margin by its length alone.",
    ),
    "ipo": Loss(
        formula="(log π(w)/|w| − log π(l)/|l| − 1/(2β))² + cpo_alpha · NLL(w)",
        reads=_CPO_ALPHA,
        trap="Averages over tokens and no reference: not the IPO of trainer dpo.",
    ),
    "simpo": Loss(
        formula="the smoothed −log σ(β(log π(w)/|w| − log π(l)/|l|) − simpo_gamma) + cpo_alpha · NLL(w)",
        reads=_CPO_ALPHA | {"simpo_gamma", "label_smoothing"},
        trap=(
            "The margin is simpo_gamma itself, compared with the difference after β: TRL divides it by β and multiplies by β "
            "again. The paper's code gives the ratio γ/β; multiply it by β (β 2, ratio 0.5: simpo_gamma 1). Averages over "
            "tokens, so β is 2 to 10, not 0.01. Pure SimPO needs cpo_alpha 0; TRL's default is 1."
        ),
    ),
}

_ORPO = {
    "orpo": Loss(
        formula="NLL(prompt and w) − β log σ(log odds(w) − log odds(l)), odds = p/(1 − p), log p = log π(y)/|y|",
        trap="β is the paper's λ, a weight and not a temperature; the likelihood term also trains the prompt's tokens.",
    ),
}

_KTO_WEIGHTS = frozenset({"desirable_weight", "undesirable_weight"})
_KTO = {
    "kto": Loss(
        formula="λ_w (1 − σ(β(r(w) − z))) and λ_l (1 − σ(β(z − r(l)))), z = max(0, mean r of other prompts' answers)",
        reads=_KTO_WEIGHTS,
        least_pairs=2,
        trap="A pair becomes two rows. z comes from the micro-batch: results depend on its size, which must be 2 or more.",
    ),
    "apo_zero_unpaired": Loss(
        formula="λ_w (1 − σ(βr(w))) and λ_l σ(βr(l))",
        reads=_KTO_WEIGHTS,
        trap="apo_zero over single rows: with both weights 1 it differs from that by a factor of a half.",
    ),
}

TRAINERS = {
    "dpo": Trainer(reference=True, combines=True, measures=(_LOSS, _ACCURACIES, _MARGINS), losses=_DPO),
    "cpo": Trainer(reference=False, combines=False, measures=(_LOSS, _ACCURACIES, _MARGINS), losses=_CPO),
    "orpo": Trainer(reference=False, combines=False, measures=(_LOSS, _ACCURACIES, _MARGINS), losses=_ORPO),
    # TRL's KTO counts no accuracies: its rows are not pairs.
    "kto": Trainer(reference=True, combines=False, measures=(_LOSS, _MARGINS), losses=_KTO),
}


def least_pairs(trainer: str, loss_types: list[str]) -> int:
    """The fewest pairs a micro-batch may hold with these losses, which the trainer must have."""
    return max(TRAINERS[trainer].losses[name].least_pairs for name in loss_types)
