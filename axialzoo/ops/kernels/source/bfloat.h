// Loads and stores of rows of floats or bfloat16 as vectors of floats.
#ifndef AXIAL_BFLOAT_H
#define AXIAL_BFLOAT_H

#include "vector.h"

namespace {

struct Bfloat {
    uint16_t bits;
};
typedef uint16_t Halves __attribute__((vector_size(2 * AXIAL_LANES)));

INLINE Vector load(const Bfloat* from) {
    Halves halves;
    memcpy(&halves, from, sizeof halves);
    const Integers bits = __builtin_convertvector(halves, Integers) << 16;
    Vector x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Rounds to nearest, ties to even; NaN stays NaN.
INLINE void store(Bfloat* to, Vector x) {
    Integers bits;
    memcpy(&bits, &x, sizeof bits);
    const Integers rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const Halves halves = __builtin_convertvector(x == x ? rounded : (bits >> 16 | 0x40), Halves);
    memcpy(to, &halves, sizeof halves);
}

// Loads the first `count` lanes, zeros for the others.
template <class T>
INLINE Vector load(const T* from, int64_t count) {
    if (count >= LANES) return load(from);
    T lanes[LANES] = {};
    memcpy(lanes, from, sizeof(T) * count);
    return load(lanes);
}

template <class T>
INLINE void store(T* to, Vector x, int64_t count) {
    if (count >= LANES) return store(to, x);
    T lanes[LANES];
    store(lanes, x);
    memcpy(to, lanes, sizeof(T) * count);
}

}  // namespace
#endif
