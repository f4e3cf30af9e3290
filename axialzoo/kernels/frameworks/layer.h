// A whole folded attention layer, of maps and arrays as a framework hands them over, as one call of axial_forward.
//
// The kernel itself is another library: who loads this one binds its entry (axial_bind), so that one kernel serves all.
#ifndef AXIAL_LAYER_H
#define AXIAL_LAYER_H

#include <algorithm>

#include "../source/axial.h"

namespace {

using Entry = int (*)(const AxialForward*, int isa, int threads, AxialParallel parallel);
Entry axial_forward_entry = nullptr;

struct Array {
    const float* data;  // of an array without elements, of a term that is not there: null
    int64_t rows;       // its first dimension
};

// In the order in which fused.py hands them over.
struct Layer {
    const float* x;                                          // (N, H, W, C)
    int64_t batch, height, width, inputs;                    // N, H, W, C
    const float *weight, *bias;                              // packed
    Array query_table, key_table, value_table;               // (rows, D)
    const float* scales;                                     // (3, G)
    int64_t heads;                                           // G
    const float* position_scale;                             // (V)
    const float* shift;                                      // (V)
    int64_t values;                                          // V
    float* out;                                              // (N, H, W, V), head by head
    int64_t axis, key_depth, span;                           // 0 attends along the height, 1 along the width; Dk; 0: no span
    int64_t content_similarity, content_value;               // whether there is q.k, and whether v is retrieved
};

// 0; 1: no memory; 2: not an instruction set of this processor.
inline int attend(const Layer& a, int isa, int threads, AxialParallel parallel) {
    const int64_t lengths[] = {a.height, a.width}, steps[] = {a.width, 1};  // of the axes, and how many positions apart their places lie
    const int64_t along = a.axis, across = 1 - a.axis, positions = a.height * a.width, depth = a.values / a.heads;
    AxialForward f{};
    f.batch = a.batch, f.others = lengths[across], f.length = lengths[along];
    f.heads = a.heads, f.key_depth = a.key_depth, f.value_depth = depth;
    f.reach = a.span != 0 ? std::min(f.length - 1, a.span / 2) : f.length - 1;
    for (const Array& table : {a.query_table, a.key_table, a.value_table}) {
        if (table.data == nullptr) continue;
        f.table_reach = table.rows / 2;
        f.reach = std::min(f.reach, f.table_reach);
    }
    f.x = a.x, f.x_batch = positions * a.inputs, f.x_other = steps[across] * a.inputs, f.x_position = steps[along] * a.inputs;
    f.inputs = a.inputs, f.weight = a.weight, f.bias = a.bias;
    f.query_table = a.query_table.data, f.key_table = a.key_table.data, f.value_table = a.value_table.data;
    f.content_scale = a.content_similarity ? a.scales : nullptr;
    f.query_scale = a.scales + a.heads, f.key_scale = a.scales + 2 * a.heads;
    f.content_value = a.content_value, f.position_scale = a.position_scale, f.shift = a.shift;
    f.out = a.out, f.out_batch = positions * a.values, f.out_other = steps[across] * a.values, f.out_position = steps[along] * a.values;
    f.out_head = depth, f.out_depth = 1;
    return axial_forward_entry(&f, isa, threads, parallel);
}

inline const char* message_of(int code) {
    return code == 1 ? "axial_attention: no memory for its buffers"
                     : "axial_attention: expected an instruction set of this processor, found another; trace the model again here";
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void axial_bind(void* forward) { axial_forward_entry = reinterpret_cast<Entry>(forward); }

#endif
