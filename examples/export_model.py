"""A trained network for other programs: written, loaded again, and compared."""

import torch

import preceptor

run = preceptor.train(data="iris", epochs=5, seed=0, out=False)
print(run.export("iris.safetensors"))
print(run.export("iris.pt2", to="torch-export"))

program = torch.export.load("iris.pt2").module()
print(program(torch.zeros(2, 4)).shape)
