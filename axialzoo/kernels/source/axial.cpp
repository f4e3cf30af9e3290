// The kernel for one instruction set: compiled once for each, with AXIAL_ISA its name and AXIAL_LANES its vectors' width.
#include "axial.h"
#include "backward.h"
#include "linear.h"
#include "moments.h"
#include "norm.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(function) JOIN(function, AXIAL_ISA)

#define ENTRY(function, structure) \
    int NAMED(axial_##function)(const structure* a, int threads, AxialParallel parallel) { return function(a, threads, parallel); }

extern "C" {

ENTRY(forward, AxialForward)
ENTRY(backward, AxialBackward)
ENTRY(linear, AxialLinear)
ENTRY(weight_gradient, AxialWeightGradient)
ENTRY(norm_moments, AxialNorm)
ENTRY(norm_forward, AxialNorm)
ENTRY(norm_backward, AxialNorm)
ENTRY(moments_forward, AxialMoments)
ENTRY(moments_backward, AxialMoments)

}
