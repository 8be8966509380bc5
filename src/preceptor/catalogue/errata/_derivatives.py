"""Linear models, matrix calculus, back-propagation."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "jacobian-name",
        "∂x/∂y for the matrix in ∇_x z = (∂y/∂x)ᵀ ∇_y z",
        "∂y/∂x, with a row for each of the n outputs and a column for each of the m inputs",
        "the inverse shape: the product with ∇_y z is not defined unless m = n",
        (
            "derivative:jacobian",
            "derivative:vector-jacobian-product",
        ),
    ),
    Erratum(
        "normal-equations-transpose",
        "w = (X X)⁻¹ Xᵀ t",
        "w = (Xᵀ X)⁻¹ Xᵀ t",
        "X X exists for square X only",
        ("solver:normal-equations",),
    ),
    Erratum(
        "polynomial-terms",
        "y = w₀ + w₁ x₁ + w₂ x₂² + … + w_m x_m^m",
        "y = w₀ + w₁ x + w₂ x² + … + w_m x^m",
        "a map of one variable has powers of that variable; there is no x_m",
        ("feature-map:polynomial-features",),
    ),
    Erratum(
        "mean-squared-error-matrix-form",
        "(1/n) Σ (x_iᵀθ − y_i)² = (Xθ − y)ᵀ(Xθ − y)",
        "(1/n) (Xθ − y)ᵀ(Xθ − y)",
        "the same minimum, n times the gradient: a learning rate that suits the one diverges on the other",
        ("loss:mse",),
    ),
    Erratum(
        "quadratic-form-gradient",
        "∇(½ wᵀA w + bᵀw) = ½ (AᵀA) w + b",
        "½ (A + Aᵀ) w + b, which is A w + b for symmetric A",
        "a product in place of a sum: right by accident for the identity matrix alone",
        ("worked-example:matrix-calculus",),
    ),
    Erratum(
        "squared-norm-gradient",
        "∇(wᵀA w) = 2 A",
        "2 A w for symmetric A",
        "a matrix in place of a vector: w is lost",
        ("worked-example:matrix-calculus",),
    ),
    Erratum(
        "scaled-matrix-inverse",
        "(k A)ᵀ = A⁻¹ / k",
        "(k A)⁻¹ = A⁻¹ / k",
        "transpose and inverse are confused; they agree for orthogonal matrices and k = 1",
        ("worked-example:matrix-calculus",),
    ),
    Erratum(
        "tangent-kernel-step",
        "ΔZ = −(α/N) Jᵀ ∇L(Z), J = ∂E/∂W",
        "ΔZ = −(α/N) J Jᵀ ∇L(Z), J = ∂Z/∂W",
        "Jᵀ∇L has the size of the weights, not of the outputs; the kernel J Jᵀ is lost",
        ("derivative:neural-tangent-kernel",),
    ),
    Erratum(
        "first-layer-sum",
        "the first layer sums over inputs 1 … m_{i−1}",
        "1 … m₀",
        "no index i exists in the first layer; with the width of another layer inputs are dropped or missing",
        ("layer:fully-connected",),
    ),
    Erratum(
        "path-sum-limits",
        "o₁ ≤ m_{i+1}, …, o_{l−i} ≤ m_l in the sum over paths",
        "o₁ runs over the units of layer l, o_{l−i} over those of layer i + 1",
        "reversed limits run past the end of a layer, or leave units out",
        ("worked-example:path-sum",),
    ),
    Erratum(
        "qr-decomposition-name",
        "A = Q U",
        "A = Q R",
        "U is the unitary or the upper factor of other decompositions (SVD, LU)",
        ("solver:qr",),
    ),
    Erratum(
        "convex-inequality",
        "f((1 − λ) x₀ + λ x₁) ≤ (1 − λ) f(x₀) + λ f(x₁), as a property of the multilayer perceptron",
        "the definition of a convex function; the loss of a network with a hidden layer violates it",
        "gradient descent would always find the global minimum",
        ("inspection:convexity-test",),
    ),
    Erratum(
        "input-scale-and-rate",
        "inputs 1000 times as large: lower the learning rate by 1000",
        "the gradient grows by 1000, but the largest stable rate 2/λ_max(XᵀX/N) falls by 10⁶",
        "with lr / 1000 the weights diverge",
        ("worked-example:input-scale",),
    ),
)
