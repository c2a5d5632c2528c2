"""The critic's losses, and how its gradient is weighed."""

import pytest
import torch

from var.training.critic import Critic, balanced_gradient, critic_loss, persuasion_loss


def test_the_critic_learns_to_tell_real_from_made():
    torch.manual_seed(0)
    critic = Critic((6,))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)

    def judge(images):
        return critic(images, [torch.cat((images, 1 - images), dim=1)])

    real, made = torch.rand(8, 3, 16, 16), torch.rand(8, 3, 16, 16) * 0.2
    losses = []
    for _ in range(30):
        loss = critic_loss(judge(real), judge(made))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert persuasion_loss(judge(real)) < persuasion_loss(judge(made))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_second_gradient_has_a_fixed_part_of_the_firsts_length(scale):
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss, other = images[0].square().sum(), scale * images[1].sum()
    gradient = balanced_gradient(images, loss, other, 0.25)
    first = 2 * images[0].detach()
    assert torch.allclose(gradient[0], first)
    assert gradient[1].norm().item() == pytest.approx(0.25 * first.norm().item(), rel=1e-5)
