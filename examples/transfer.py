"""A training on few digits that starts from one on others, and what speaks for that."""

from sklearn.datasets import load_digits

import preceptor

images, labels = load_digits(return_X_y=True)
first, last = labels < 5, labels >= 5
source = preceptor.train("mlp", (images[first], labels[first]), epochs=8, out=False)

few = images[last][:150], labels[last][:150]
run = preceptor.train(data=few, from_=source, freeze="all-but-head", epochs=20, lr=0.02, out=False)
print(
    "\n".join(run.transfer["lines"])
)  # what was copied, and whether it suits: "against it" where it does not
for layer in run.transfer["layers"]:
    print(layer["layer"], layer["weights"], "learns", layer["learns"])
print(run.evaluate("val"))
