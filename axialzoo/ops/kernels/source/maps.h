// Operations of maps that have no weights: pooling, means, resizing, sums. A piece is a line of the result.
#ifndef AXIAL_MAPS_H
#define AXIAL_MAPS_H

#include "activation.h"
#include "threads.h"

namespace {

INLINE void pool_position(const AxialStep& a, int64_t n, int64_t h, int64_t w, int64_t c, int64_t count) {
    const int64_t top = h * a.stride - a.padding, left = w * a.stride - a.padding;
    const int64_t first = most(0, top), last = least(a.in_height, top + a.side), begin = most(0, left), end = least(a.in_width, left + a.side);
    Vector result = load_some(at(a.x, n, first, begin) + c, count);
    if (a.kind == AXIAL_AVERAGE_POOL) result = Vector{};
    for (int64_t i = first; i < last; ++i) {
        for (int64_t j = begin; j < end; ++j) {
            const Vector x = load_some(at(a.x, n, i, j) + c, count);
            result = a.kind == AXIAL_AVERAGE_POOL ? result + x : x > result ? x : result;
        }
    }
    if (a.kind == AXIAL_AVERAGE_POOL) result = result / static_cast<float>((last - first) * (end - begin));
    const float* residual = at(a.residual, n, h, w);
    finish(a, result, residual == nullptr ? nullptr : residual + c, at(a.y, n, h, w) + c, count);
}

inline void pool_piece(void* data, int64_t index) {
    const AxialStep& a = *static_cast<const AxialStep*>(data);
    const int64_t n = index / a.height, h = index % a.height;
    for (int64_t w = 0; w < a.width; ++w) {
        int64_t c = 0;
        for (; c + LANES <= a.outputs; c += LANES) pool_position(a, n, h, w, c, LANES);
        if (c < a.outputs) pool_position(a, n, h, w, c, a.outputs - c);
    }
}

// Means of LANES channels: sums of lines, then their sum.
inline void mean_piece(void* data, int64_t index) {
    const AxialStep& a = *static_cast<const AxialStep*>(data);
    const int64_t groups = divide_up(a.outputs, LANES), n = index / groups, c = index % groups * LANES, count = least(LANES, a.outputs - c);
    Vector total{};
    for (int64_t h = 0; h < a.in_height; ++h) {
        Vector sums[4] = {};
        for (int64_t w = 0; w < a.in_width; ++w) sums[w % 4] += load_some(at(a.x, n, h, w) + c, count);
        total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    finish(a, total / static_cast<float>(a.in_height * a.in_width), nullptr, at(a.y, n, 0, 0) + c, count);
}

// x w = (1 - share) low + share high
INLINE Vector mix(Vector low, Vector high, float share) { return low + (high - low) * share; }

struct Resize {
    const AxialStep* a;
    bool failed;
};

inline void resize_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Resize& f = *static_cast<Resize*>(data);
    const AxialStep& a = *f.a;
    const int64_t n = index / a.height, h = index % a.height, channels = a.outputs, row = divide_up(channels, LANES) * LANES;
    float* line = scratch.floats(a.in_width * row);
    if (line == nullptr) {
        f.failed = true;
        return;
    }
    const float share = a.line_share[h];
    for (int64_t w = 0; w < a.in_width; ++w) {
        const float *low = at(a.x, n, a.line_low[h], w), *high = at(a.x, n, a.line_high[h], w);
        int64_t c = 0;
        for (; c + LANES <= channels; c += LANES) store(line + w * row + c, mix(load(low + c), load(high + c), share));
        if (c < channels) store(line + w * row + c, mix(load_some(low + c, channels - c), load_some(high + c, channels - c), share));
    }
    for (int64_t w = 0; w < a.width; ++w) {
        const float *low = line + a.position_low[w] * row, *high = line + a.position_high[w] * row;
        float* y = at(a.y, n, h, w);
        const float* residual = at(a.residual, n, h, w);
        const float across = a.position_share[w];
        int64_t c = 0;
        if (is_plain(a) && residual == nullptr) {
            const Vector floor = floor_of(a);
            for (; c + LANES <= channels; c += LANES) {
                const Vector x = mix(load(low + c), load(high + c), across);
                store(y + c, x < floor ? floor : x);
            }
        }
        for (; c < channels; c += LANES) {
            const Vector x = mix(load(low + c), load(high + c), across);
            finish(a, x, residual == nullptr ? nullptr : residual + c, y + c, least(LANES, channels - c));
        }
    }
}

// A sum, a copy, or the product with a factor of each channel.
inline void sum_piece(void* data, int64_t index) {
    const AxialStep& a = *static_cast<const AxialStep*>(data);
    const int64_t n = index / a.height, h = index % a.height;
    const float* factor = at(a.factor, n, 0, 0);
    for (int64_t w = 0; w < a.width; ++w) {
        const float *x = at(a.x, n, h, w), *residual = at(a.residual, n, h, w);
        float* y = at(a.y, n, h, w);
        for (int64_t c = 0; c < a.outputs; c += LANES) {
            const int64_t count = least(LANES, a.outputs - c);
            Vector value = count == LANES ? load(x + c) : load_some(x + c, count);
            if (factor != nullptr) value *= count == LANES ? load(factor + c) : load_some(factor + c, count);
            finish(a, value, residual == nullptr ? nullptr : residual + c, y + c, count);
        }
    }
}

}  // namespace
#endif
