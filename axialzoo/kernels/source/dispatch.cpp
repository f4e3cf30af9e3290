// One entry for each function: to the instruction set that is asked for, if it was compiled in and the processor has it.
#include "axial.h"

#define DECLARE(isa)                                                  \
    int axial_forward_##isa(const AxialForward*, int, AxialParallel); \
    int axial_backward_##isa(const AxialBackward*, int, AxialParallel); \
    int axial_linear_##isa(const AxialLinear*, int, AxialParallel);

#define EXPORT __attribute__((visibility("default")))
#if defined(AXIAL_X86)
#define CASES(call)                                    \
    case AXIAL_AVX512: return call(avx512);            \
    case AXIAL_AVX2: return call(avx2);                \
    case AXIAL_PORTABLE: return call(portable);
#else
#define CASES(call) \
    case AXIAL_PORTABLE: return call(portable);
#endif

extern "C" {

DECLARE(portable)
#if defined(AXIAL_X86)
DECLARE(avx2)
DECLARE(avx512)
#endif

EXPORT int axial_compiled(void) {
#if defined(AXIAL_X86)
    return 1 << AXIAL_PORTABLE | 1 << AXIAL_AVX2 | 1 << AXIAL_AVX512;
#else
    return 1 << AXIAL_PORTABLE;
#endif
}

EXPORT int axial_supported(void) {
    int found = 1 << AXIAL_PORTABLE;
#if defined(AXIAL_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (avx2) found |= 1 << AXIAL_AVX2;
    if (avx512) found |= 1 << AXIAL_AVX512;
#endif
    return found;
}

// 2: not an instruction set that can be used here.
#define FORWARD(isa) axial_forward_##isa(arguments, threads, parallel)
EXPORT int axial_forward(const AxialForward* arguments, int isa, int threads, AxialParallel parallel) {
    if (isa < 0 || !(axial_supported() >> isa & 1)) return 2;
    switch (isa) { CASES(FORWARD) }
    return 2;
}

#define BACKWARD(isa) axial_backward_##isa(arguments, threads, parallel)
EXPORT int axial_backward(const AxialBackward* arguments, int isa, int threads, AxialParallel parallel) {
    if (isa < 0 || !(axial_supported() >> isa & 1)) return 2;
    switch (isa) { CASES(BACKWARD) }
    return 2;
}

#define LINEAR(isa) axial_linear_##isa(arguments, threads, parallel)
EXPORT int axial_linear(const AxialLinear* arguments, int isa, int threads, AxialParallel parallel) {
    if (isa < 0 || !(axial_supported() >> isa & 1)) return 2;
    switch (isa) { CASES(LINEAR) }
    return 2;
}

}
