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
