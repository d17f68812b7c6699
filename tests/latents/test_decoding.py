import pytest
import torch

from sparring import Model, SettingError


@pytest.mark.parametrize(("n", "start"), [(1, 0), (40, 0), (70, 5)])
def test_the_latents_of_samples_give_their_very_bytes(family: Model, n: int, start: int) -> None:
    z = family.latents(n, seed=3, start=start)
    assert z.shape == (n, 8)
    assert torch.equal(family.decode(z), family.sample(n, seed=3, start=start))


def test_so_do_those_of_classes_with_the_labels_that_were_drawn(conditional: Model) -> None:
    z, labels = conditional.latents(50, seed=1), conditional.labels(50, seed=1)
    assert set(labels.tolist()) == {0, 1, 2}
    assert torch.equal(conditional.decode(z, labels), conditional.sample(50, seed=1))
    assert torch.equal(conditional.decode(z[:3], "dog"), conditional.sample(3, seed=1, label=1))
    shares = torch.nn.functional.one_hot(labels, 3).float()
    assert torch.equal(conditional.decode(z, shares), conditional.sample(50, seed=1))
    between = conditional.decode(z[:1], torch.tensor([[0.5, 0.5, 0.0]]))
    assert not torch.equal(between, conditional.decode(z[:1], "cat"))


def test_truncated_latents_are_truncated_samples(model: Model) -> None:
    assert torch.equal(model.decode(0.7 * model.latents(9)), model.sample(9, truncation=0.7))


def test_what_does_not_fit_is_said(model: Model, conditional: Model) -> None:
    with pytest.raises(SettingError, match=r"\(n, 8\)"):
        model.decode(torch.zeros(2, 7))
    with pytest.raises(SettingError, match="finite"):
        model.decode(torch.full((1, 8), torch.nan))
    with pytest.raises(SettingError, match="no classes"):
        model.decode(torch.zeros(1, 8), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(SettingError, match="labels"):
        conditional.decode(torch.zeros(1, 8))
    with pytest.raises(SettingError, match="0 to 2"):
        conditional.decode(torch.zeros(2, 8), torch.tensor([0, 3]))
    with pytest.raises(SettingError, match="at least 1"):
        model.latents(0)
