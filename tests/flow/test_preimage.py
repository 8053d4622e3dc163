"""Which rows are moved how, on an encoder that is the identity."""

import torch

from latentflow.flow.preimage import Encoder, solve
from latentflow.flow.shooting import Trajectory


def test_rows_that_a_cheap_pass_leaves_get_a_whole_one_and_need_no_newton():
    taken = []

    def forward(x):
        return x.clone(), Trajectory(torch.zeros(1, *x.shape), torch.zeros(1, *x.shape))

    def shoot(trajectory, miss, by):
        taken.append(by.stride)
        return miss if by.stride == 1 else torch.zeros_like(miss)

    def jacobian(x):
        raise AssertionError("Newton was asked")

    z = torch.tensor([[0.3, -1.0], [0.1, 0.2]], dtype=torch.float64)
    encoder = Encoder(forward, lambda rows: rows + 5e-5, jacobian, shoot)
    x, residual = solve(encoder, z, 1e-5, 5)
    torch.testing.assert_close(x, z, atol=1e-12, rtol=0)
    assert float(residual.max()) <= 1e-12
    assert taken == [3, 1]


def test_rows_beside_a_fold_are_followed_out_of_the_trough_in_which_damped_newton_ends():
    # x³ − 3x + 3 has its only root left of the hump at −1; from the right, |x³ − 3x + 3| is least at the trough at 1
    def forward(x):
        return x**3 - 3 * x, None

    def jacobian(x):
        return (3 * x**2 - 3)[:, :, None]

    z = torch.full((1, 1), -3.0, dtype=torch.float64)
    trough = Encoder(forward, lambda rows: torch.full_like(rows, 1.3), jacobian, None)
    x, residual = solve(trough, z, 1e-9, 30)
    assert float(residual) <= 1e-9
    torch.testing.assert_close(x, torch.full_like(x, -2.1038034), atol=1e-6, rtol=0)
