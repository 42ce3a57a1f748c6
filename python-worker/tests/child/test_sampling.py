from __future__ import annotations

import torch

from sgpo_worker.child.sampling import KeyedSampler, draw, keep_nucleus


def test_draws_follow_the_distribution() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    uniform = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    drawn = draw(probabilities.expand(10_000, -1), uniform)
    assert torch.bincount(drawn).tolist() == [1000, 2000, 3000, 4000]


def test_the_ends_of_the_unit_interval_draw_possible_tokens() -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.5, 0.0]])
    assert draw(probabilities, torch.tensor([0.0], dtype=torch.float64)).tolist() == [1]
    assert draw(probabilities, torch.tensor([1 - 2**-53], dtype=torch.float64)).tolist() == [2]


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    for top_p, kept in ((0.4, 1), (0.41, 2), (0.7, 2), (0.71, 3), (0.95, 4)):
        nucleus = probabilities.clone()
        keep_nucleus(nucleus, top_p)
        assert int((nucleus > 0).sum()) == kept, top_p


def test_ties_at_the_edge_of_the_nucleus_stay_together() -> None:
    nucleus = torch.tensor([[0.2, 0.2, 0.2, 0.2, 0.2]])
    keep_nucleus(nucleus, 0.3)
    assert int((nucleus > 0).sum()) == 5


def test_flat_and_peaked_rows_are_cut_alike_whether_alone_or_together() -> None:
    torch.manual_seed(0)
    logits = torch.cat([torch.randn(2, 4000) * 0.1, torch.randn(2, 4000) * 8])
    together = torch.softmax(logits, dim=-1)
    exact = together.sort(dim=-1, descending=True)
    size = (exact.values.double().cumsum(-1) - exact.values.double() < 0.9).sum(dim=-1)
    keep_nucleus(together, 0.9)
    assert (together > 0).sum(dim=-1).tolist() == size.tolist()
    for index in range(4):
        alone = torch.softmax(logits[index : index + 1], dim=-1)
        keep_nucleus(alone, 0.9)
        assert torch.equal(alone[0], together[index])


def test_a_row_draws_the_same_beside_any_neighbours_and_at_any_padding() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 50)

    def drawn(rows: list[int], width: int) -> list[int]:
        sampler = KeyedSampler(keys=[100 + row for row in rows], prompt_width=width, max_new_tokens=4, temperature=0.7, top_p=0.9)
        return [int(row.argmax()) for row in sampler(torch.zeros(len(rows), width + 2, dtype=torch.long), scores[rows])]

    assert drawn([0, 1, 2], 5) == [drawn([row], 9)[0] for row in (0, 1, 2)]
