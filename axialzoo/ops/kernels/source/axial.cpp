// The kernel for one instruction set. It is compiled once for each; AXIAL_ISA is the name, AXIAL_LANES the width of vectors.
#include "axial.h"
#include "backward.h"
#include "linear.h"
#include "moments_backward.h"
#include "norm.h"
#include "program.h"
#include "slots.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(function) JOIN(function, AXIAL_ISA)

#define ENTRY(function, structure) \
    int NAMED(axial_##function)(const structure* a, int threads, AxialParallel parallel) { return function(a, threads, parallel); }

extern "C" {

AXIAL_FUNCTIONS(ENTRY)

}
