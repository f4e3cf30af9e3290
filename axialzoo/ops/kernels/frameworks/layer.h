// A whole folded attention layer as one call of axial_forward, on a framework's own maps and arrays.
#ifndef AXIAL_LAYER_H
#define AXIAL_LAYER_H

#include <algorithm>
#include <memory>
#include <new>

#include "call.h"

namespace {

struct Array {
    const float* data;  // null for an array without elements, which stands for a missing term
    int64_t rows;       // its first dimension
};

// In the order of kernel_arrays in ops/keras/inference.py; channels lie head by head: g * D + d.
struct Layer {
    const float* x;                             // (N, H, W, C)
    int64_t batch, height, width, inputs;       // N, H, W, C
    const float *weight, *bias;                 // (C, 2K + V), (2K + V)
    Array query_table, key_table, value_table;  // (rows, D)
    const float* scales;                        // (3, G)
    int64_t heads;                              // G
    const float* position_scale;                // (V)
    const float* shift;                         // (V)
    int64_t values;                             // V
    float* out;                                 // (N, H, W, V)
    int64_t axis, key_depth, span;              // 0 attends along the height, 1 along the width; Dk; 0: no span
    int64_t content_similarity, content_value;  // whether there is q.k, and whether v is retrieved
};

// Arrays in the kernel's layout: channels depth by depth, weight and bias in panels (see AxialLinear).
struct Packed {
    std::unique_ptr<float[]> memory;
    float *weight, *bias, *position_scale, *shift;
};

// Channel of the layer that lies at index `channel` of `channels` in depth-by-depth order.
inline int64_t by_head(int64_t channel, int64_t channels, int64_t heads) { return channel % heads * (channels / heads) + channel / heads; }

// Packs weights again in each call, because they may have changed; this takes a few per cent of a call. Null if there is no memory.
inline Packed pack(const Layer& a) {
    constexpr int64_t PANEL = 64;
    const int64_t keys = a.heads * a.key_depth, outputs = 2 * keys + a.values, panels = (outputs + PANEL - 1) / PANEL;
    const int64_t weight = panels * PANEL * a.inputs, bias = panels * PANEL;
    Packed to{std::unique_ptr<float[]>(new (std::nothrow) float[weight + bias + 2 * a.values]), nullptr, nullptr, nullptr, nullptr};
    const std::unique_ptr<int64_t[]> order(new (std::nothrow) int64_t[outputs]);
    if (to.memory == nullptr || order == nullptr) return Packed{};
    to.weight = to.memory.get(), to.bias = to.weight + weight, to.position_scale = to.bias + bias, to.shift = to.position_scale + a.values;
    for (int64_t i = 0; i < outputs; ++i) {
        const int64_t part = std::min<int64_t>(i / keys, 2);  // q, k, v
        order[i] = part * keys + by_head(i - part * keys, part == 2 ? a.values : keys, a.heads);
    }
    for (int64_t row = 0; row <= a.inputs; ++row) {  // row by row, so that a row stays in the cache; the last row is the bias
        const float* from = row < a.inputs ? a.weight + row * outputs : a.bias;
        float* rows = row < a.inputs ? to.weight + row * PANEL : to.bias;
        const int64_t step = row < a.inputs ? PANEL * a.inputs : PANEL;  // from panel to panel
        for (int64_t i = 0; i < outputs; ++i) rows[i / PANEL * step + i % PANEL] = from[order[i]];
        for (int64_t i = outputs; i < bias; ++i) rows[i / PANEL * step + i % PANEL] = 0.0f;
    }
    for (int64_t i = 0; i < a.values; ++i) {
        const int64_t from = by_head(i, a.values, a.heads);
        to.position_scale[i] = a.position_scale == nullptr ? 1.0f : a.position_scale[from];
        to.shift[i] = a.shift[from];
    }
    return to;
}

// Returns 0; 1: no memory; 2: not an instruction set of this processor.
inline int attend(const Layer& a, int isa, int threads, AxialParallel parallel) {
    const Packed packed = pack(a);
    if (packed.memory == nullptr) return 1;
    const int64_t lengths[] = {a.height, a.width}, steps[] = {a.width, 1};  // of the axes: their lengths, and the stride in positions
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
    f.inputs = a.inputs, f.weight = packed.weight, f.bias = packed.bias;
    f.query_table = a.query_table.data, f.key_table = a.key_table.data, f.value_table = a.value_table.data;
    f.content_scale = a.content_similarity ? a.scales : nullptr;
    f.query_scale = a.scales + a.heads, f.key_scale = a.scales + 2 * a.heads;
    f.content_value = a.content_value, f.shift = packed.shift;
    f.position_scale = a.position_scale == nullptr ? nullptr : packed.position_scale;
    f.out = a.out, f.out_batch = positions * a.values, f.out_other = steps[across] * a.values, f.out_position = steps[along] * a.values;
    f.out_head = depth, f.out_depth = 1;
    return axial_entries[NUMBER_forward](&f, isa, threads, parallel);
}

}  // namespace

#endif
