// The kernel for one instruction set: compiled once for each, with AXIAL_ISA its name and AXIAL_LANES its vectors' width.
#include "axial.h"
#include "backward.h"
#include "linear.h"
#include "moments_backward.h"
#include "norm.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(function) JOIN(function, AXIAL_ISA)

#define ENTRY(function, structure) \
    int NAMED(axial_##function)(const structure* a, int threads, AxialParallel parallel) { return function(a, threads, parallel); }

extern "C" {

AXIAL_FUNCTIONS(ENTRY)

}
