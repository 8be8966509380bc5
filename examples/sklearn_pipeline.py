"""A network as an estimator of scikit-learn: in a pipeline, in a grid search."""

from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from preceptor.sklearn import PreceptorClassifier

inputs, labels = load_wine(return_X_y=True)
network = PreceptorClassifier("mlp", epochs=15, lr=0.01, random_state=0)
pipeline = make_pipeline(StandardScaler(), network)

search = GridSearchCV(pipeline, {"preceptorclassifier__lr": [1e-4, 1e-2]}, cv=2)
search.fit(inputs, labels)
print(search.best_params_, f"accuracy {search.best_score_:.3f}")
