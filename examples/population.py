"""Many small networks in one step: three rates with four seeds each."""

import preceptor

population = preceptor.train_population(
    "mlp",
    "iris",
    members=[{"lr": 1e-4}, {"lr": 1e-3}, {"lr": 1e-2}],
    seeds=range(4),
    epochs=8,
)
print(population)
print("best:", population.best.change)
print(population.run(population.best.index).test())
