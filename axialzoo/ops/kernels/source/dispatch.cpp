// One entry for each function. It calls the requested instruction set if it was compiled in and the processor supports it.
#include "axial.h"

#define EXPORT __attribute__((visibility("default")))
#if defined(AXIAL_X86)
#define DECLARE(function, arguments)                                       \
    int axial_##function##_portable(const arguments*, int, AxialParallel); \
    int axial_##function##_avx2(const arguments*, int, AxialParallel);     \
    int axial_##function##_avx512(const arguments*, int, AxialParallel);
#define CASES(function)                                                                  \
    case AXIAL_AVX512: return axial_##function##_avx512(arguments, threads, parallel);   \
    case AXIAL_AVX2: return axial_##function##_avx2(arguments, threads, parallel);       \
    case AXIAL_PORTABLE: return axial_##function##_portable(arguments, threads, parallel);
#else
#define DECLARE(function, arguments) int axial_##function##_portable(const arguments*, int, AxialParallel);
#define CASES(function) \
    case AXIAL_PORTABLE: return axial_##function##_portable(arguments, threads, parallel);
#endif

// Returns 2 if this instruction set cannot be used here.
#define ENTRY(function, structure)                                                                                \
    DECLARE(function, structure)                                                                                  \
    EXPORT int axial_##function(const structure* arguments, int isa, int threads, AxialParallel parallel) {      \
        if (isa < 0 || !(axial_supported() >> isa & 1)) return 2;                                                 \
        switch (isa) { CASES(function) }                                                                          \
        return 2;                                                                                                 \
    }

extern "C" {

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

AXIAL_FUNCTIONS(ENTRY)

}
