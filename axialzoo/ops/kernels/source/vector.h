// Vectors of floats, one lane for each (line, head), through the compiler's vector extension: no intrinsics.
#ifndef AXIAL_VECTOR_H
#define AXIAL_VECTOR_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef AXIAL_LANES
#define AXIAL_LANES 4
#endif

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

namespace {  // anonymous, so that the linker shares nothing between the objects of instruction sets

constexpr int LANES = AXIAL_LANES;
typedef float Vector __attribute__((vector_size(4 * AXIAL_LANES)));
typedef uint32_t Integers __attribute__((vector_size(4 * AXIAL_LANES)));
constexpr float LOG2E = 1.4426950408889634f;

INLINE Vector load(const float* from) {
    Vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store(float* to, Vector x) { memcpy(to, &x, sizeof x); }
INLINE Vector all(float x) { return x - Vector{}; }
INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// 2^x for x <= 0, with a relative error of at most 2e-7; at least 2^-126. NaN stays NaN.
INLINE Vector exp2(Vector x) {
    x = x < -126.0f ? all(-126.0f) : x;
    const Vector shifted = x + 12582912.0f;  // 1.5 * 2^23: the last bits of the sum are x, rounded
    const Vector f = x - (shifted - 12582912.0f);  // -1/2 .. 1/2
    Integers exponent;
    memcpy(&exponent, &shifted, sizeof exponent);
    exponent = (exponent << 23) + 0x3f800000;
    Vector power, p = f * 1.32765e-3f + 9.67554e-3f;  // minimax in relative error
    p = p * f + 5.550713e-2f;
    p = p * f + 2.402212e-1f;
    p = p * f + 6.9314697e-1f;
    p = p * f + 1.0f;
    memcpy(&power, &exponent, sizeof power);
    return p * power;
}

// Memory that a thread reuses in its next call; its contents are lost when it grows.
class Scratch {
  public:
    ~Scratch() { free(data); }
    float* floats(int64_t count) {
        if (count > size) {
            free(data);
            size = divide_up(count, 1024) * 1024;
            data = static_cast<float*>(aligned_alloc(64, static_cast<size_t>(size) * sizeof(float)));
            if (data == nullptr) size = 0;
        }
        return data;
    }

  private:
    float* data = nullptr;
    int64_t size = 0;
};

}  // namespace
#endif
