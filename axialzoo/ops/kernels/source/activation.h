// Activations of vectors, and the end of every operation of a program: residual, activation, store.
#ifndef AXIAL_ACTIVATION_H
#define AXIAL_ACTIVATION_H

#include "axial.h"
#include "vector.h"

namespace {

INLINE Vector absolute(Vector x) { return x < 0.0f ? -x : x; }
INLINE Vector negative_exp(Vector x) { return exp2(x * LOG2E); }  // e^x for x <= 0

// The error function, with an absolute error of at most 1.5e-7 (Abramowitz and Stegun, 7.1.26).
INLINE Vector error_function(Vector x) {
    const Vector a = absolute(x), t = 1.0f / (1.0f + 0.3275911f * a);
    Vector p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vector y = 1.0f - p * t * negative_exp(-a * a);
    return x < 0.0f ? -y : y;
}

INLINE Vector sigmoid(Vector x) {
    const Vector e = negative_exp(-absolute(x)), y = 1.0f / (1.0f + e);
    return x < 0.0f ? e * y : y;
}

INLINE Vector activate(Vector x, int64_t activation) {
    switch (activation) {
        case AXIAL_RELU: return x < 0.0f ? Vector{} : x;
        case AXIAL_GELU: return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
        case AXIAL_GELU_TANH: return x * sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));  // (1 + tanh(z)) / 2 = sigmoid(2 z)
        case AXIAL_SILU: return x * sigmoid(x);
        case AXIAL_ELU: return x > 0.0f ? x : negative_exp(x < 0.0f ? x : Vector{}) - 1.0f;
        case AXIAL_HARD_SIGMOID: {
            const Vector y = x + 3.0f, low = y < 0.0f ? Vector{} : y;
            return (low > 6.0f ? all(6.0f) : low) * 0.16667f;
        }
        default: return x;
    }
}

INLINE Vector load_some(const float* from, int64_t count) {
    Vector x{};
    memcpy(&x, from, sizeof(float) * static_cast<size_t>(count));
    return x;
}

INLINE void store_some(float* to, Vector x, int64_t count) {
    switch (count) {  // a call of memcpy is slow
        case 1: memcpy(to, &x, 4); break;
        case 2: memcpy(to, &x, 8); break;
        case 3: memcpy(to, &x, 12); break;
        case 4: memcpy(to, &x, 16); break;
        default: memcpy(to, &x, sizeof(float) * static_cast<size_t>(count));
    }
}

// Whether an operation ends with max(floor_of(a), x + residual), which is cheaper than `finish`.
INLINE bool is_plain(const AxialStep& a) { return a.activation <= AXIAL_RELU && !a.late; }
INLINE Vector floor_of(const AxialStep& a) { return all(a.activation == AXIAL_RELU ? 0.0f : -__builtin_inff()); }

// Ends an operation at `count` channels, at most LANES of them; `residual` may be null.
INLINE void finish(const AxialStep& a, Vector x, const float* residual, float* y, int64_t count) {
    const Vector other = residual == nullptr ? Vector{} : count == LANES ? load(residual) : load_some(residual, count);
    x = a.late ? activate(x, a.activation) + other : activate(x + other, a.activation);
    count == LANES ? store(y, x) : store_some(y, x, count);
}

INLINE float* at(const AxialMap& map, int64_t n, int64_t h, int64_t w) {
    return map.data == nullptr ? nullptr : map.data + n * map.batch + (h & (map.ring - 1)) * map.line + w * map.position;
}

}  // namespace
#endif
