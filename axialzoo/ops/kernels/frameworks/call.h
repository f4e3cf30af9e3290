// Calls of any function of the kernel from a framework's operator. The arguments come as data; this code fills in the addresses of arrays.
//
// The kernel itself is another library. The caller that loads this library binds the kernel's functions (axial_bind), so that all frameworks
// share one kernel.
#ifndef AXIAL_CALL_H
#define AXIAL_CALL_H

#include <string.h>

#include <memory>
#include <new>

#include "../source/axial.h"

namespace {

using Entry = int (*)(const void*, int isa, int threads, AxialParallel parallel);

// NUMBER_forward and so on, in the order of library.py; the last two are functions of this file.
#define NUMBER(function, structure) NUMBER_##function,
enum Function { AXIAL_FUNCTIONS(NUMBER) STATISTICS_FORWARD, STATISTICS_BACKWARD, FUNCTIONS };
Entry axial_entries[FUNCTIONS] = {};

// AxialMoments for frameworks that may have no doubles: mean and variance instead of sums, (3, G), and their gradients.
struct AxialStatistics {
    AxialMoments moments;
    float *mean, *variance;
    const float *grad_mean, *grad_variance;
    const float* grad_from;  // gradients to which those of the moments are added
    int64_t pairs, values;   // number of logits of a term and head; elements of grad_from
};

inline int statistics_forward(const void* arguments, int isa, int threads, AxialParallel parallel) {
    AxialStatistics a = *static_cast<const AxialStatistics*>(arguments);
    const int64_t heads = a.moments.heads;
    const std::unique_ptr<double[]> sums(new (std::nothrow) double[6 * heads]());
    if (sums == nullptr) return 1;
    a.moments.sums = sums.get();
    const int code = axial_entries[NUMBER_moments_forward](&a.moments, isa, threads, parallel);
    for (int64_t term = 0; term < 3; ++term) {
        for (int64_t g = 0; g < heads; ++g) {
            const double mean = sums[2 * term * heads + g] / a.pairs, variance = sums[(2 * term + 1) * heads + g] / a.pairs - mean * mean;
            a.mean[term * heads + g] = static_cast<float>(mean);
            a.variance[term * heads + g] = static_cast<float>(variance < 0 ? 0 : variance);
        }
    }
    return code;
}

inline int statistics_backward(const void* arguments, int isa, int threads, AxialParallel parallel) {
    AxialStatistics a = *static_cast<const AxialStatistics*>(arguments);
    const int64_t heads = a.moments.heads;
    const std::unique_ptr<double[]> grads(new (std::nothrow) double[6 * heads]);
    if (grads == nullptr) return 1;
    for (int64_t term = 0; term < 3; ++term) {
        for (int64_t g = 0; g < heads; ++g) {
            const int64_t i = term * heads + g;
            const double square = a.grad_variance[i] / static_cast<double>(a.pairs);
            grads[2 * term * heads + g] = a.grad_mean[i] / static_cast<double>(a.pairs) - 2 * square * a.mean[i];
            grads[(2 * term + 1) * heads + g] = square;
        }
    }
    a.moments.grad_sums = grads.get();
    if (a.grad_from != a.moments.grad_x) memcpy(a.moments.grad_x, a.grad_from, sizeof(float) * a.values);
    return axial_entries[NUMBER_moments_backward](&a.moments, isa, threads, parallel);
}

constexpr int FIELDS = 64;  // at most

// `fields`: for each field of the structure, the index of an array and an offset in floats, or -1 and an integer.
// Returns 0; 1: no memory; 2: not an instruction set of this processor; 3: no such function, or too many fields.
template <class Address>
inline int run(int64_t function, const int64_t* fields, int64_t count, int isa, int threads, AxialParallel parallel, const Address& address) {
    if (function < 0 || function >= FUNCTIONS || axial_entries[function] == nullptr || count > FIELDS) return 3;
    int64_t structure[FIELDS];
    for (int64_t i = 0; i < count; ++i) {
        const int64_t number = fields[2 * i], value = fields[2 * i + 1];
        structure[i] = number < 0 ? value : reinterpret_cast<int64_t>(static_cast<float*>(address(number)) + value);
    }
    return axial_entries[function](structure, isa, threads, parallel);
}

inline const char* message_of(int code) {
    return code == 1   ? "axialzoo: no memory for the kernel's buffers"
           : code == 2 ? "axialzoo: expected an instruction set of this processor, found another; trace the model again here"
                       : "axialzoo: expected a function of the kernel, found none of that number; was the library bound?";
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void axial_bind(int function, void* entry) {
    axial_entries[STATISTICS_FORWARD] = statistics_forward, axial_entries[STATISTICS_BACKWARD] = statistics_backward;
    if (function >= 0 && function < STATISTICS_FORWARD) axial_entries[function] = reinterpret_cast<Entry>(entry);
}

#endif
