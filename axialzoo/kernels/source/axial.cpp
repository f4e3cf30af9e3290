// The kernel for one instruction set: compiled once for each, with AXIAL_ISA its name and AXIAL_LANES its vectors' width.
#include "axial.h"
#include "backward.h"
#include "linear.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(function) JOIN(function, AXIAL_ISA)

extern "C" {

int NAMED(axial_forward)(const AxialForward* a, int threads, AxialParallel parallel) { return forward(a, threads, parallel); }
int NAMED(axial_backward)(const AxialBackward* a, int threads, AxialParallel parallel) { return backward(a, threads, parallel); }
int NAMED(axial_linear)(const AxialLinear* a, int threads, AxialParallel parallel) { return linear(a, threads, parallel); }

}
